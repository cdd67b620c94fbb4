"""The mean of a dataset from numbers of its examples, and how far another choice of examples would have moved it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from lightning_untrac.functional.parts import NUM_PARTS, part_of
from lightning_untrac.functional.uncertainty import Floats, resampled_covariance

LEVEL = 0.95
"""Of the intervals."""

ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""The quantiles of what was drawn where they end."""


class Mean(NamedTuple):
    """A mean and its interval.

    Attributes:
        value: the mean; NaN where no example counts.
        low: lower end of the 95 % interval; NaN where there is none.
        high: its upper end.
    """

    value: float
    low: float
    high: float


def exact_mean(values: Floats, weights: Floats) -> float:
    """``sum(value * weight) / sum(weight)`` in float64, whatever the order of the examples; NaN where none counts.

    Args:
        values: ``[examples]``.
        weights: ``[examples]``; examples of weight 0 do not count.
    """
    counted = weights > 0
    values, weights = values[counted].astype(np.float64), weights[counted].astype(np.float64)
    if not len(values):
        return math.nan
    if not np.isfinite(values).all():
        with np.errstate(invalid="ignore"):
            return float((values * weights).sum() / math.fsum(weights))
    return math.fsum(values * weights) / math.fsum(weights)


def weighted_mean(
    values: Floats,
    weights: Floats,
    before: Floats | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Mean:
    """``sum(value * weight) / sum(weight)``, in float64 and whatever the order of the examples.

    The interval comes from bootstrap resamples of the examples, or of :data:`NUM_PARTS` random parts of them where
    there are more (see ``resampled_covariance``), and Student's t.

    Args:
        values: ``[examples]``.
        weights: ``[examples]``; examples of weight 0 do not count.
        before: ``[examples]``, other values of the same examples; then the mean is that of the changes since, and what
            moves both alike is not in the interval.
        bounds: where the interval ends.

    Returns:
        The mean. It has no interval where fewer than two examples count, or where a value is not finite.

    Example:
        >>> mean = weighted_mean(np.array([1.0, 3.0, 9.0]), np.array([3.0, 1.0, 0.0]))
        >>> mean.value, mean.low < 1.5 < mean.high
        (1.5, True)
    """
    counted = weights > 0
    values, weights = values[counted].astype(np.float64), weights[counted].astype(np.float64)
    if not len(values):
        return Mean(math.nan, math.nan, math.nan)
    since = np.zeros_like(values) if before is None else before[counted].astype(np.float64)
    total = math.fsum(weights)
    if not (np.isfinite(values).all() and np.isfinite(since).all()):
        with np.errstate(invalid="ignore"):
            return Mean(float(((values - since) * weights).sum() / total), math.nan, math.nan)
    mean = math.fsum((values - since) * weights) / total
    if len(values) < 2:
        return Mean(mean, math.nan, math.nan)
    sums = np.stack([since * weights, values * weights, weights])
    if len(values) > NUM_PARTS:
        parts = part_of(torch.arange(len(values))).numpy()
        sums = np.stack([np.bincount(parts, weights=row, minlength=NUM_PARTS) for row in sums])
    covariance, used = resampled_covariance(*(row[None] for row in sums))
    from scipy.stats import t

    half = float(t.ppf(ENDS[1], used - 1)) * math.sqrt(max(0.0, covariance.item()))
    return Mean(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]))
