"""How many members an attack finds while it accuses next to nobody else."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lightning_untrac.functional.resampled import NUM_RESAMPLES, Resampled
from lightning_untrac.functional.uncertainty import Floats

AT_ONCE: Final = 2**22
"""Scores that are drawn at a time."""


def least_sequences(fpr: float) -> int:
    """How many sequences of each kind a rate of true positives takes at least: 20 at 1 %, 200 at .1 %.

    That many are a fifth of what makes one false positive; below, no threshold that was seen is near the one asked for.
    Ten false positives, with which a rate begins to be steady, take 1,000 others at 1 % and 10,000 at .1 %.

    Args:
        fpr: the rate of false positives.

    Example:
        >>> least_sequences(0.01), least_sequences(0.001)
        (20, 200)
    """
    return math.ceil(0.2 / fpr - 1e-9)


def rates_at_fpr(
    members: Floats, others: Floats, fpr: float, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> list[Resampled]:
    """Largest share of members above a threshold that at most a share ``fpr`` of the others is above.

    Only ranks matter: scores may be of any size. Members and others are resampled by themselves, and the models share
    the resamples, so that a difference between two of them takes out what moves both.

    Args:
        members: ``[M, n]`` scores under each of M models of what was trained on, higher for what looks more like it.
        others: ``[M, m]`` of what was not.
        fpr: the rate of false positives, at least 0 and below 1.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        One a model; NaN where there are fewer than :func:`least_sequences` on a side.

    Example:
        Nobody else is above 3:

        >>> others = np.zeros((1, 20)) + 3.0
        >>> members = np.array([[5.0] * 5 + [3.0] * 15])
        >>> rates_at_fpr(members, others, 0.01)[0].value
        0.25
    """
    n, m = members.shape[1], others.shape[1]
    if min(n, m) < least_sequences(fpr):
        return [Resampled(math.nan, np.empty(0)) for _ in members]
    place = m - 1 - math.floor(fpr * m + 1e-9)
    value = _rates(members, others, place)
    chance, drawn, left = np.random.default_rng(seed), [], num_resamples
    while left:
        count = min(left, max(1, AT_ONCE // (n + m)))
        mine, theirs = chance.integers(n, size=(count, n)), chance.integers(m, size=(count, m))
        drawn.append(
            np.stack([_rates(one[mine], other[theirs], place) for one, other in zip(members, others, strict=True)])
        )
        left -= count
    resampled = np.concatenate(drawn, axis=1)
    return [Resampled(float(one), each) for one, each in zip(value, resampled, strict=True)]


def _rates(members: Floats, others: Floats, place: int) -> Floats:
    """Of each row the share of members above the other that has ``place`` others below it in order."""
    threshold = np.partition(others, place, axis=1)[:, place]
    rates: Floats = (members > threshold[:, None]).mean(axis=1)
    return rates
