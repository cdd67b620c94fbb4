"""What an examination says: numbers of examples, numbers of a model, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from lightning_untrac.functional.resampled import Resampled, resampled_means
from lightning_untrac.functional.uncertainty import Floats

Key = TypeVar("Key")


@dataclass(frozen=True)
class Column:
    """Numbers of the examples of one dataset, under one model in one condition.

    Attributes:
        measure: what was measured, as tables call it.
        dataset: its name.
        values: ``[examples]`` float64.
        weights: ``[examples]``, how much each counts in a mean; 0 where it does not.
        unit: of a value.
        condition: what was done to the model, for people; empty where nothing was.
        at: how much of it, where that is a number (a layer, an optimizer step); the place on a picture's axis.
    """

    measure: str
    dataset: str
    values: Floats
    weights: Floats
    unit: str = ""
    condition: str = ""
    at: float | None = None


class Number(NamedTuple):
    """One number that an examination concludes about a model.

    Attributes:
        model: its path.
        statistic: what it is, as tables call it.
        value: the number.
        low: lower end of its 95 % interval; NaN where there is none.
        high: upper end.
        measure: that it is about.
        dataset: that it is about.
        unit: of the number.
        condition: as of a :class:`Column`.
        at: likewise.
    """

    model: str
    statistic: str
    value: float
    low: float
    high: float
    measure: str
    dataset: str
    unit: str = ""
    condition: str = ""
    at: float | None = None


@dataclass(frozen=True)
class Concluded:
    """What an examination concludes from what it found of all models.

    Attributes:
        numbers: rows of ``examination_summary.parquet``.
        columns: path of a model to further numbers of its examples.
        said: path of a model to what can be said of it in a sentence, as far as the intervals allow it. The report
            leads with these: subject, verb, object, and the numbers behind them.
        notes: what is to be known beside, a sentence each.
    """

    numbers: Sequence[Number] = ()
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


Found = Mapping[str, Sequence[Column]]
"""Path of a model to what was found of it."""


def means_together(columns: Mapping[Key, Column]) -> dict[Key, Resampled]:
    """The weighted means of columns of the same examples, over shared resamples, so that they can be subtracted.

    Args:
        columns: of one dataset, such as of several models.
    """
    if not columns:
        return {}
    every = list(columns.values())
    values, weights = np.stack([one.values for one in every]), np.stack([one.weights for one in every])
    return dict(zip(columns, resampled_means([values], [weights]), strict=True))
