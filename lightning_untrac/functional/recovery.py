"""How much of what another corpus had overwritten came back with unlearning it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import ENDS, Mean
from lightning_untrac.functional.resampled import Resampled


class Recovery(NamedTuple):
    """What came back.

    Attributes:
        gain: how much better a retrained model is than the original, ``S_r - S_c``: above 0 where it knows the dataset
            better.
        share: ``(S_u - S_c) / (S_r - S_c)``: 0 as the original, 1 as a retrained model, below 0 where unlearning made
            it worse; NaN where the interval of ``gain`` does not begin above 0: there was nothing to come back.
    """

    gain: Mean
    share: Mean


def recovery(unlearned: Resampled, original: Resampled, retrained: Resampled, higher: bool = True) -> Recovery:
    """The share of what the forget set had overwritten that came back with unlearning it.

    Our reading of RESTOR (Rezaei et al. 2024), which asks whether what a corpus had overwritten is restored: the
    original is the corrupt model, and a retrained one takes the place of the clean model.

    Args:
        unlearned: S_u, the mean of a measure over a dataset that is not to be forgotten.
        original: S_c, on the same resamples.
        retrained: S_r, alike.
        higher: whether a higher number says that a model knows the dataset better.

    Returns:
        Both numbers with 95 % intervals.

    Example:
        >>> drawn = np.linspace(-0.01, 0.01, 101)
        >>> u, c, r = (Resampled(value, value + drawn) for value in (2.1, 2.5, 2.0))
        >>> found = recovery(u, c, r, higher=False)
        >>> round(found.gain.value, 4), round(found.share.value, 4)
        (0.5, 0.8)
    """
    sign = 1.0 if higher else -1.0
    gain, back = retrained.minus(original).times(sign), unlearned.minus(original).times(sign)
    if not gain.mean.low > 0:
        return Recovery(gain.mean, Mean(math.nan, math.nan, math.nan))
    return Recovery(gain.mean, share_of(back, gain))


def share_of(part: Resampled, whole: Resampled) -> Mean:
    """``part / whole`` with the 95 % interval of its resamples.

    Where the whole of a resample is not above 0, its share counts as infinite, so that the interval has no end there
    rather than a wrong one.

    Args:
        part: a number.
        whole: above 0, on the same resamples.
    """
    share = part.value / whole.value
    with np.errstate(all="ignore"):
        drawn = np.where(whole.drawn > 0, part.drawn / whole.drawn, np.copysign(np.inf, part.drawn))
    drawn = drawn[~np.isnan(drawn)]
    if not math.isfinite(share) or not len(drawn):
        return Mean(share, math.nan, math.nan)
    ends = np.quantile(drawn, ENDS, method="nearest")
    return Mean(share, *map(float, ends))
