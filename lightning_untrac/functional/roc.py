"""The ROC curve of a score: how many members are found at every share of false accusations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.uncertainty import Floats


class Roc(NamedTuple):
    """A ROC curve, from nobody accused to everybody.

    Attributes:
        fpr: ``[thresholds]`` shares of the others that are accused, rising from 0 to 1.
        tpr: ``[thresholds]`` shares of the members that are found.
    """

    fpr: Floats
    tpr: Floats

    def at(self, fpr: Floats) -> Floats:
        """Shares of members that are found while no more than some shares of the others are accused.

        Args:
            fpr: ``[points]``, each from 0 to 1.

        Returns:
            ``[points]``.
        """
        return self.tpr[np.searchsorted(self.fpr, fpr, side="right") - 1]


def roc(members: Floats, others: Floats) -> Roc:
    """The ROC curve of a score, by torchmetrics.

    It is given ranks, not scores: whatever lies outside of 0 and 1 it puts through a float32 sigmoid.

    Args:
        members: ``[n]`` scores of sequences that were trained on, higher for what looks more like one; NaN does not
            count.
        others: ``[m]`` of sequences that were not.

    Returns:
        NaN where a side is empty.

    Example:
        >>> curve = roc(np.array([3.0, 1.5]), np.array([1.0, 2.0, 0.0]))
        >>> curve.tpr.tolist(), curve.fpr.round(3).tolist()
        ([0.0, 0.5, 0.5, 1.0, 1.0, 1.0], [0.0, 0.0, 0.333, 0.333, 0.667, 1.0])
        >>> curve.at(np.array([0.0, 0.5])).tolist()
        [0.5, 1.0]
    """
    import torch
    from scipy.stats import rankdata
    from torchmetrics.functional.classification import binary_roc

    members, others = members[~np.isnan(members)], others[~np.isnan(others)]
    n, m = len(members), len(others)
    if not n or not m:
        return Roc(np.array([np.nan]), np.array([np.nan]))
    ranks = rankdata(np.concatenate([members, others])) / (n + m)
    labels = torch.arange(n + m) < n
    fpr, tpr, _ = binary_roc(torch.from_numpy(ranks), labels.long())
    # Shares of whole numbers: torchmetrics divides in float32.
    return Roc(np.rint(fpr.double().numpy() * m) / m, np.rint(tpr.double().numpy() * n) / n)
