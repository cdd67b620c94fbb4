"""Accuracy of a classifier, example by example."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.memorisation import memorisation_accuracy
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class Accuracy(Measure):
    """Share of an example's classes that are the model's first choice: 0 or 1 where a whole text has a class.

    The mean of a dataset is the share of its targets that are classified rightly.
    """

    name = "accuracy"
    title = "Accuracy"
    unit = "share of classes"
    weight_unit = "targets"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; lower than that shows as well that something was forgotten"
    cannot_tell = "how sure the model is, which can give away what it was trained on where its choice does not"
    source = "the usual one"
    bounds = (0.0, 1.0)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        return Measured(*memorisation_accuracy(seen.hits, seen.targets))
