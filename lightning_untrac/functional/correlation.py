"""How well scores of corpora agree with a reference: correlations, bootstrap intervals and top-1 agreement.

Inputs are tensors, arrays or sequences of numbers; everything is computed in float64. Where a correlation is not
defined (fewer than two corpora, or a constant input) the answer is NaN, never a warning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]


class BootstrapInterval(NamedTuple):
    """A percentile interval of a correlation.

    Args:
        low: Lower end; NaN if there was nothing to resample.
        high: Upper end.
        num_dropped: Resamples in which the correlation was not defined, because an input was constant.
    """

    low: float
    high: float
    num_dropped: int


def _array(values: Any) -> Array:
    """A float64 copy of a tensor (of any device and precision), an array or a sequence."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.array(values, dtype=np.float64)


def _pair(x: npt.ArrayLike, y: npt.ArrayLike, ndim: int = 1) -> tuple[Array, Array]:
    """Float64 copies of both, scaled to at most 1 in size: correlations do not change and squares cannot overflow."""
    arrays = []
    for values in (x, y):
        array = _array(values)
        scale = np.max(np.abs(array[np.isfinite(array)]), initial=0.0)
        arrays.append(array / scale if scale > 0 else array)
    if arrays[0].shape != arrays[1].shape or arrays[0].ndim != ndim:
        raise ValueError(f"Expected two inputs of {ndim} dimensions and one shape, got {[a.shape for a in arrays]}.")
    return arrays[0], arrays[1]


def _defined(x: Array, y: Array) -> bool:
    """Whether a correlation exists: two or more finite pairs, and neither input constant (up to rounding)."""
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    return all(np.linalg.norm(v - v.mean()) > 1e-13 * max(abs(v.mean()), 1e-300) for v in (x, y))


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Pearson's linear correlation.

    Args:
        x: ``[K]`` scores.
        y: ``[K]`` reference.

    Returns:
        In [-1, 1]; NaN if it is not defined.

    >>> round(pearson([1.0, 2.0, 3.0], [2.0, 4.0, 7.0]), 4)
    0.9934
    >>> pearson([1.0, 1.0], [2.0, 4.0])
    nan
    """
    a, b = _pair(x, y)
    return float(stats.pearsonr(a, b).statistic) if _defined(a, b) else float("nan")


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation (ties share their mean rank).

    Args:
        x: ``[K]`` scores.
        y: ``[K]`` reference.

    Returns:
        In [-1, 1]; NaN if it is not defined.

    >>> spearman([1.0, 2.0, 30.0], [2.0, 4.0, 7.0])
    1.0
    """
    a, b = _pair(x, y)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return pearson(stats.rankdata(a), stats.rankdata(b))


def top1_agreement(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Whether the largest entry is the same in both.

    Args:
        x: ``[K]`` scores.
        y: ``[K]`` reference.

    Returns:
        1.0 or 0.0; with ties the share of common maxima among all maxima; NaN if it is not defined.

    >>> top1_agreement([0.1, 0.9, 0.2], [3.0, 8.0, 1.0])
    1.0
    """
    a, b = _pair(x, y)
    if not _defined(a, b):
        return float("nan")
    top_a, top_b = a == a.max(), b == b.max()
    return float((top_a & top_b).sum() / (top_a | top_b).sum())


def _weighted_pearson(weights: Array, x: Array, y: Array) -> Array:
    """Pearson's correlation of one pair of columns under many weightings: ``[R, K]``, ``[K]``, ``[K]`` -> ``[R]``.

    A resample is a weighting by counts, and this does thousands at once, which no library function does with gaps.
    """
    total = weights.sum(1)
    positive = weights > 0

    def constant(v: Array) -> npt.NDArray[np.bool_]:
        spread = np.where(positive, v, -np.inf).max(1) - np.where(positive, v, np.inf).min(1)
        small: npt.NDArray[np.bool_] = ~(spread > 1e-13)
        return small

    undefined = (total < 2) | constant(x) | constant(y)
    safe = np.where(total > 0, total, 1.0)
    centred_x = x - (weights @ x / safe)[:, None]
    centred_y = y - (weights @ y / safe)[:, None]
    covariance = (weights * centred_x * centred_y).sum(1)
    variance = (weights * centred_x**2).sum(1) * (weights * centred_y**2).sum(1)
    r = covariance / np.sqrt(np.where(undefined | (variance <= 0), 1.0, variance))
    return np.where(undefined, np.nan, np.clip(r, -1.0, 1.0))


def bootstrap_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    num_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapInterval:
    """Percentile interval of Pearson's correlation, from resampling corpora with replacement.

    With two dimensions the statistic is the mean of the correlations of the columns, and all columns are resampled
    together: the corpora are what is drawn, and they are the same for every test set. Entries that are not finite are
    left out of their column.

    Args:
        x: Scores, ``[K]`` or ``[K, M]``.
        y: Reference of the same shape.
        num_resamples: How many resamples to draw.
        confidence: Share of the resamples inside the interval.
        seed: Seed of the draws.

    Returns:
        The interval; both ends are NaN with fewer than three corpora, or if no resample was usable.

    >>> bootstrap_interval([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], num_resamples=50).high
    1.0
    """
    ndim = _array(x).ndim
    a, b = _pair(x, y, ndim=2 if ndim == 2 else 1)
    if ndim < 2:
        a, b = a[:, None], b[:, None]
    usable = np.isfinite(a) & np.isfinite(b)
    if len(a) < 3 or not (usable.sum(0) >= 3).any():
        return BootstrapInterval(float("nan"), float("nan"), 0)
    draws = np.random.default_rng(seed).integers(len(a), size=(num_resamples, len(a)))
    counts = (draws[:, :, None] == np.arange(len(a))).sum(1).astype(np.float64)
    correlations = []
    for column in range(a.shape[1]):
        keep = usable[:, column]
        left, right = _pair(a[keep, column], b[keep, column])
        if _defined(left, right):  # a column that is constant as a whole has no correlation to average
            correlations.append(_weighted_pearson(counts[:, keep], left, right))
    if not correlations:
        return BootstrapInterval(float("nan"), float("nan"), num_resamples)
    means = np.mean(correlations, axis=0)
    means = means[np.isfinite(means)]
    dropped = num_resamples - len(means)
    if not len(means):
        return BootstrapInterval(float("nan"), float("nan"), dropped)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return BootstrapInterval(float(low), float(high), dropped)


def critical_pearson(num_corpora: int, p: float = 0.05) -> float:
    """The size that a Pearson correlation must exceed to be significant (two-sided t test).

    Args:
        num_corpora: How many pairs.
        p: The level.

    Returns:
        In (0, 1]; NaN with fewer than three pairs, where no correlation is.

    >>> round(critical_pearson(8), 3)
    0.707
    """
    degrees = num_corpora - 2
    if degrees < 1:
        return float("nan")
    t = float(stats.t.ppf(1.0 - p / 2.0, degrees))
    return t / float(np.sqrt(degrees + t * t))
