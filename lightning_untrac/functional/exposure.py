"""Exposure: how far a sequence stands out among others that a model never saw, in bits."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lightning_untrac.functional.uncertainty import Floats

FEWEST: Final = 10
"""Unseen sequences that a skew-normal distribution, which has three parameters, is fitted to at least."""


def exposure(losses: Floats, unseen: Floats) -> Floats:
    """``log2 (N + 1) - log2 rank`` of each sequence among N unseen ones and itself (Carlini et al. 2019).

    The rank counts the unseen sequences with a lower loss, and 1 for the sequence itself. It is 0 for a sequence that
    is less likely than all unseen ones, and ``log2 (N + 1)`` at most: whoever tries the likeliest sequences first finds
    it after ``(N + 1) / 2 ** exposure`` of them. For unseen sequences it is 1.44 on the mean, as N grows.

    Args:
        losses: ``[sequences]``, mean negative log-likelihood per token; NaN stays NaN.
        unseen: ``[N]`` of unseen sequences from the same generator; those that are NaN do not count.

    Returns:
        ``[sequences]``; NaN where there is no unseen sequence.

    Example:
        >>> unseen = np.array([3.0, 3.4, 2.9, 3.8, 4.1, 3.3, 3.6])
        >>> round(exposure(np.array([3.1]), unseen).item(), 4)  # third of eight
        1.415
    """
    unseen = np.sort(unseen[~np.isnan(unseen)])
    if not len(unseen):
        return np.full(losses.shape, np.nan)
    rank = 1 + np.searchsorted(unseen, losses, side="left")
    return np.where(np.isnan(losses), np.nan, math.log2(len(unseen) + 1) - np.log2(rank))


def extrapolated_exposure(losses: Floats, unseen: Floats) -> Floats:
    """``-log2 P(loss of an unseen sequence <= loss)`` by a skew-normal distribution fitted to unseen losses.

    It goes on where the rank ends (Carlini et al. 2019, section 4.2). What it says far out is what the fitted tail
    says: the smallest probability of a float64 holds it at 1074 bits, and few unseen sequences bend it.

    Args:
        losses: ``[sequences]``, mean negative log-likelihood per token.
        unseen: ``[N]`` of unseen sequences from the same generator; those that are not finite do not count.

    Returns:
        ``[sequences]``; NaN with fewer than :data:`FEWEST` unseen sequences, or where these are all alike.

    Example:
        >>> unseen = 3.5 + 0.3 * np.linspace(-2, 2, 41)
        >>> found = extrapolated_exposure(np.array([3.5, 1.0]), unseen)
        >>> bool(0.9 < found[0] < 1.1), bool(found[1] > 20)
        (True, True)
    """
    from scipy.stats import skewnorm

    unseen = unseen[np.isfinite(unseen)]
    if len(unseen) < FEWEST or np.ptp(unseen) <= 1e-6 * np.abs(unseen).max():
        return np.full(losses.shape, np.nan)
    with np.errstate(all="ignore"):
        share = skewnorm.cdf(losses, *skewnorm.fit(unseen))
    smallest = math.ulp(0.0)
    return np.where(np.isnan(losses), np.nan, -np.log2(np.clip(share, smallest, 1.0)))


def unseen_exposure(losses: Floats) -> Floats:
    """:func:`exposure` of each unseen sequence among the others, for what chance alone gives.

    Args:
        losses: ``[N]``; NaN stays NaN.

    Example:
        >>> unseen_exposure(np.array([1.0, 2.0, 3.0, 4.0])).round(3).tolist()
        [2.0, 1.0, 0.415, 0.0]
    """
    counted = ~np.isnan(losses)
    count = int(counted.sum())
    if count < 2:
        return np.full(losses.shape, np.nan)
    rank = 1 + np.searchsorted(np.sort(losses[counted]), losses, side="left")
    return np.where(counted, math.log2(count) - np.log2(rank), np.nan)
