"""Where the classes of a classifier lie in its latent space, and where what was forgotten lies among them."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.centroids import cosine_between_classes
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.metrics.of_sets.set_measure import ReadSet, SetMeasure


class _Cosine(SetMeasure):
    """Of centroids of the last layer's hidden states that the head reads, as they are: nothing is taken off them."""

    unit = "cosine"
    cannot_tell = (
        "how far single examples are spread; states share a direction, and few scattered examples bring a cosine "
        "nearer to 0, so that only differences over the same examples say something"
    )
    source = "the usual one; our reading of how DeepCUT (arXiv 2503.14900) looks at the latent space"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    reads = ("predicted_class",)


class ClassCosine(_Cosine):
    """The mean over pairs of classes of the cosine between their centroids: lower where classes lie further apart."""

    name = "class_cosine"
    title = "Cosine between the centroids of classes"

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        if not read.states:
            return None
        every = (read.vectors(model, read.names) for model in range(len(read.states)))
        return [cosine_between_classes(*one) for one in every]


class OwnClassCosine(_Cosine):
    """Cosine of a class's centroid to that of the same class of what is retained, the mean over classes."""

    name = "own_class_cosine"
    title = "Cosine to the retained centroid of its class"

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        return None if read.nearness is None else [one.own for one in read.nearness]


class OtherClassCosine(_Cosine):
    """Cosine of a class's centroid to the nearest one of another class of what is retained, the mean over classes."""

    name = "other_class_cosine"
    title = "Cosine to the nearest retained centroid of another class"

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        return None if read.nearness is None else [one.other for one in read.nearness]
