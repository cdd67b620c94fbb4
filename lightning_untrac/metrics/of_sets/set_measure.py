"""What a measure of a set is: one number of many examples together that is no mean over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.registry import Registry
from lightning_untrac.results.measures import MeasureText, describe_measure

SET_MEASURES: Registry[SetMeasure] = Registry("measure of sets", "lightning_untrac.metrics.of_sets")
"""All of them by name; ``untrac judge`` takes them where a model is a classifier of whole texts."""


@dataclass(frozen=True)
class ReadSet:
    """What several models make of the same datasets.

    Attributes:
        arrays: of each model, ``<measure>/value`` to dataset to ``[examples]``.
        retrained: places of the models that never saw the forget set.
        names: of the datasets whose examples count together.
        forget: name of the forget set.
        unseen: names of datasets that were never trained on.
        classes: dataset to the right class of each example, ``[examples]``; NaN where there is none, or where the
            example was not read.
    """

    arrays: Sequence[Mapping[str, Mapping[str, Floats]]]
    retrained: Sequence[int]
    names: Sequence[str]
    forget: str
    unseen: Sequence[str]
    classes: Mapping[str, Floats]

    def values(self, measure: str, name: str) -> Floats:
        """A measure of a dataset under every model, ``[models, examples]``."""
        return np.stack([one[f"{measure}/value"][name] for one in self.arrays])


class SetMeasure(ABC):
    """One number of a set of examples, of each of several models. A new one is a new file in ``metrics/of_sets/``.

    Attributes:
        name: in the tables.
        title: for people.
        unit: of the number.
        direction: which values say that the model knows the set better.
        ideal: the value that perfect unlearning would give, in words.
        cannot_tell: what a good value does not show.
        source: where it comes from.
        bounds: least and largest possible value.
        reads: measures of single examples that it is made of.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[str] = "as the retrained model"
    cannot_tell: ClassVar[str] = ""
    source: ClassVar[str] = ""
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    reads: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new measure known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        if isinstance(name := vars(cls).get("name"), str):
            SET_MEASURES.add(cls)
            describe_measure(name, MeasureText.of(cls, cls.title))

    @abstractmethod
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        """One number a model, over the same resamples; None where it says nothing of these datasets."""
