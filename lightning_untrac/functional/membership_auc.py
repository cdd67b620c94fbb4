"""How well a score tells members from others under several models, over the same resamples."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional.resampled import NUM_RESAMPLES, Resampled, resampled_means
from lightning_untrac.functional.uncertainty import Floats


def membership_auc(
    members: Floats, others: Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> list[Resampled]:
    """Area under the ROC curve of each of M models, with resamples that the models share.

    The area is the mean over members of the share of others that each stands above, and likewise the other way round.
    Resamples take the sum of what either mean moves by, which is DeLong's variance (DeLong et al. 1988) and keeps what
    moves two models alike.

    Args:
        members: ``[M, n]`` scores of what was trained on, higher for what looks more like it.
        others: ``[M, m]`` of what was not.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        One a model; NaN where a side is empty.

    Example:
        >>> (one,) = membership_auc(np.array([[3.0, 1.5]]), np.array([[1.0, 2.0, 0.0]]))
        >>> round(one.value, 4)
        0.8333
    """
    from scipy.stats import rankdata

    n, m = members.shape[1], others.shape[1]
    if not n or not m:
        return [Resampled(float("nan"), np.empty(0)) for _ in members]
    above, below = [], []
    for mine, theirs in zip(members, others, strict=True):
        ranks = rankdata(np.concatenate([mine, theirs]))
        above.append((ranks[:n] - rankdata(mine)) / m)
        below.append(1 - (ranks[n:] - rankdata(theirs)) / n)
    sides = [
        resampled_means([np.stack(side)], [np.ones((len(side), len(side[0])))], num_resamples, seed + place)
        for place, side in enumerate((above, below))
    ]
    found = []
    for one, other in zip(*sides, strict=True):
        known = len(one.drawn) and len(other.drawn)
        drawn = one.drawn + other.drawn - one.value if known else np.empty(0)
        found.append(Resampled(one.value, np.clip(drawn, 0.0, 1.0)))
    return found
