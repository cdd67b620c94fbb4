"""What a measure of a set is: one number of many examples together that is no mean over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from lightning_untrac.functional.centroids import Nearness, nearness_to_classes
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.registry import Registry
from lightning_untrac.results.measures import MeasureText, describe_measure

SET_MEASURES: Registry[SetMeasure] = Registry("measure of sets", "lightning_untrac.metrics.of_sets")
"""All of them by name; ``untrac judge`` takes those ``of_classes`` where a model is a classifier of whole texts, and
each other one where all that it reads is measured."""


class ExampleStates(NamedTuple):
    """What a classifier's head reads of the examples of a dataset.

    Attributes:
        examples: ``[n]`` their indices, of those that were read, rising.
        states: ``[n, width]`` the last layer's hidden states, float32.
    """

    examples: np.ndarray
    states: np.ndarray


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
        states: of each model, dataset to what its head reads; empty where that was not read.
        kept: names of the datasets that were trained on and stay.
    """

    arrays: Sequence[Mapping[str, Mapping[str, Floats]]]
    retrained: Sequence[int]
    names: Sequence[str]
    forget: str
    unseen: Sequence[str]
    classes: Mapping[str, Floats]
    states: Sequence[Mapping[str, ExampleStates]] = ()
    kept: Sequence[str] = ()

    def values(self, measure: str, name: str) -> Floats:
        """A measure of a dataset under every model, ``[models, examples]``."""
        return np.stack([one[f"{measure}/value"][name] for one in self.arrays])

    def weights(self, measure: str, name: str) -> Floats:
        """How much each example counts in it, ``[models, examples]``."""
        return np.stack([one[f"{measure}/weight"][name] for one in self.arrays])

    def vectors(self, model: int, names: Sequence[str]) -> tuple[Floats, Floats]:
        """What a model's head reads of the examples of some datasets that have a class, and their classes.

        Returns:
            ``[n, width]`` and ``[n]``.
        """
        read = [self.states[model][name] for name in names]
        classes = np.concatenate([self.classes[name][one.examples] for name, one in zip(names, read, strict=True)])
        known = ~np.isnan(classes)
        return np.concatenate([one.states for one in read])[known], classes[known]

    @cached_property
    def nearness(self) -> list[Nearness] | None:
        """Where these examples lie among what is kept, under each model; None where they are of it."""
        if not self.states or not self.kept or set(self.names) & set(self.kept):
            return None
        models = range(len(self.states))
        return [nearness_to_classes(*self.vectors(one, self.names), *self.vectors(one, self.kept)) for one in models]


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
        reads: measures of single examples that it is made of, by their names in the tables.
        of_classes: whether it is one of a classifier.
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
    of_classes: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new measure known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        if isinstance(name := vars(cls).get("name"), str):
            SET_MEASURES.add(cls)
            describe_measure(name, MeasureText.of(cls, cls.title))

    @abstractmethod
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        """One number a model, over the same resamples; None where it says nothing of these datasets."""
