"""How well a score tells sequences that were trained on from others."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Floats

NORMAL_QUANTILE: Final = 1.959963984540054
"""Of a 95 % interval."""


class Attack(NamedTuple):
    """An attack's success.

    Attributes:
        auc: chance that a member scores above another sequence, a tie counting half; NaN where a side is empty.
        error: its standard error; NaN where a side has fewer than two.
        members: sequences that were trained on.
        others: sequences that were not.
    """

    auc: float
    error: float
    members: int
    others: int

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % interval within 0 and 1."""
        half = NORMAL_QUANTILE * self.error
        return (max(0.0, self.auc - half), min(1.0, self.auc + half)) if math.isfinite(half) else (math.nan, math.nan)


def attack_auc(members: Floats, others: Floats) -> Attack:
    """Area under the ROC curve of a score, with DeLong's standard error (DeLong et al. 1988).

    Ranks and not the scores go to torchmetrics, which puts whatever lies outside of 0 and 1 through a float32 sigmoid.
    Near .5 the error is about ``.29 sqrt(1/n + 1/m)``. Where the two sides do not overlap it is 0, which only says
    that no overlap was seen.

    Args:
        members: ``[n]`` scores of sequences that were trained on, higher for what looks more like one; NaN does not
            count.
        others: ``[m]`` of sequences that were not.

    Example:
        >>> attack = attack_auc(np.array([3.0, 1.5]), np.array([1.0, 2.0, 0.0]))
        >>> round(attack.auc, 4), round(attack.error, 4), attack.members, attack.others
        (0.8333, 0.2357, 2, 3)
    """
    import torch
    from scipy.stats import rankdata
    from torchmetrics.functional.classification import binary_auroc

    members, others = members[~np.isnan(members)], others[~np.isnan(others)]
    n, m = len(members), len(others)
    if not n or not m:
        return Attack(math.nan, math.nan, n, m)
    ranks = rankdata(np.concatenate([members, others]))
    labels = torch.arange(n + m) < n
    auc = float(binary_auroc(torch.from_numpy(ranks / (n + m)), labels.long()))
    if min(n, m) < 2:
        return Attack(auc, math.nan, n, m)
    # Of each sequence the share of the other side that it is told from.
    ours, theirs = (ranks[:n] - rankdata(members)) / m, 1 - (ranks[n:] - rankdata(others)) / n
    return Attack(auc, math.sqrt(ours.var(ddof=1) / n + theirs.var(ddof=1) / m), n, m)


def most_memorised(memorised: Floats, share: float = 0.1) -> npt.NDArray[np.bool_]:
    """Which sequences were memorised most: a share of them, at least one; of equal ones the earlier.

    Args:
        memorised: ``[sequences]``, higher for what was memorised more; NaN is never among them.
        share: of the sequences.

    Example:
        >>> most_memorised(np.array([0.2, 0.9, 0.9, 0.1]), 0.25).tolist()
        [False, True, False, False]
    """
    known = ~np.isnan(memorised)
    chosen = np.zeros(len(memorised), dtype=bool)
    count = min(int(known.sum()), max(1, round(share * int(known.sum()))))
    order = np.argsort(np.where(known, -memorised, np.inf), kind="stable")
    chosen[order[:count]] = True
    return chosen
