"""Which sequences stand out from text that a model never saw, on either side."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Floats

WIDTH: Final = 2.0
"""Standard deviations on each side of the mean of unseen text."""


class Level(NamedTuple):
    """How well unseen text is known.

    Attributes:
        mean: over unseen sequences; NaN where there are none.
        sd: their standard deviation; 0 where there is one sequence.
        low: ``mean - 2 sd``.
        high: ``mean + 2 sd``.
        sequences: how many there are.
    """

    mean: float
    sd: float
    low: float
    high: float
    sequences: int


def unseen_level(values: Floats, width: float = WIDTH) -> Level:
    """The level of unseen text: mean and standard deviations of a measure, every sequence alike.

    Published counts of outliers (Barbulescu and Triantafillou 2024, from their code) take the constants .15 and .60 of
    memorisation accuracy, which belong to one family of models. Here the level is measured, which is our reading.

    Args:
        values: of unseen sequences, any shape (one row a model where several read them); those that are not finite do
            not count.
        width: standard deviations on each side.

    Example:
        >>> unseen_level(np.array([0.1, 0.2, 0.3]))
        Level(mean=0.2, sd=0.1, low=0.0, high=0.4, sequences=3)
    """
    values = values[np.isfinite(values)].astype(np.float64)
    if not len(values):
        return Level(math.nan, math.nan, math.nan, math.nan, 0)
    mean = math.fsum(values) / len(values)
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    mean, sd = round(mean, 12), round(sd, 12)  # sums in another order give the same level
    return Level(mean, sd, round(mean - width * sd, 12), round(mean + width * sd, 12), len(values))


class Levels(NamedTuple):
    """A level of its own for each sequence.

    Attributes:
        mean: ``[sequences]`` over models that never saw it.
        low: ``[sequences]``.
        high: ``[sequences]``.
    """

    mean: Floats
    low: Floats
    high: Floats


def same_level(level: Level, sequences: int) -> Levels:
    """One level for all of several sequences.

    Args:
        level: of unseen text.
        sequences: how many.
    """
    return Levels(*(np.full(sequences, end) for end in (level.mean, level.low, level.high)))


def sequence_levels(never_seen: Floats, width: float = WIDTH) -> Levels:
    """The level of each sequence: what models that never saw it make of the very same sequence.

    Some texts are easy and some are hard, so that a level over all of them is wide, and a sequence that is known by
    heart may hide in it. Here a sequence stands beside itself. How far models differ on a sequence is told from all
    sequences together: ``mean +- width * s * sqrt(1 + 1/R)``, with s the standard deviation within sequences, is where
    one more model that never saw it would stand.

    Args:
        never_seen: ``[R, sequences]`` values under R models, at least two.
        width: standard deviations on each side.

    Raises:
        ValueError: with fewer than two models, which do not show how far two are apart.

    Example:
        >>> levels = sequence_levels(np.array([[0.2, 0.8], [0.4, 0.6]]))
        >>> levels.mean.round(3).tolist(), levels.high.round(3).tolist()
        ([0.3, 0.7], [0.646, 1.046])
    """
    models = len(never_seen)
    if models < 2:
        raise ValueError(f"sequence_levels of {models} model; expected at least 2 that never saw the sequences")
    mean = never_seen.mean(axis=0).round(12)
    within = float(np.sqrt(((never_seen - mean) ** 2).sum() / (models - 1) / max(1, never_seen.shape[1])))
    half = round(width * within * math.sqrt(1 + 1 / models), 12)
    return Levels(mean, (mean - half).round(12), (mean + half).round(12))


def sides(values: Floats, level: Level | Levels) -> npt.NDArray[np.int64]:
    """On which side of the level of unseen text each sequence stands.

    The ends of the level stand outside of it, as in the published count. Where unseen sequences are all alike, what is
    as they are is no outlier.

    Args:
        values: of sequences, any shape.
        level: of unseen text, one for all or one for each.

    Returns:
        The same shape: 1 above the level, -1 below it, 0 within it or where a value (or the level) is not a number.

    Example:
        The paper's constants, on the facts' example:

        >>> sides(np.array([0.1, 0.3, 0.62, 0.9, 0.15]), Level(0.375, 0.1125, 0.15, 0.60, 2)).tolist()
        [-1, 0, 1, 1, -1]
    """
    with np.errstate(invalid="ignore"):
        above = (values >= level.high) & (values > level.mean)
        below = (values <= level.low) & (values < level.mean)
    return above.astype(np.int64) - below.astype(np.int64)
