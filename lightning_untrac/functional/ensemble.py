"""Several models as one: the mean of what they predict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def log_mean_probs(logits: Sequence[Tensor]) -> Tensor:
    """Log of the mean of several models' probabilities; as logits they give that mean.

    Bourtoule et al. 2021 (arXiv 1912.03817, section IV) aggregate shard models by a majority vote over labels, or by
    the mean of their prediction vectors. It is the mean here, which has a likelihood.

    Args:
        logits: of each model, ``[..., outcomes]``.

    Returns:
        ``[..., outcomes]`` natural logarithms, whose exponentials sum to 1.

    Example:
        >>> certain, uniform = torch.tensor([30.0, 0.0]), torch.tensor([5.0, 5.0])
        >>> log_mean_probs([certain, uniform]).exp()
        tensor([0.7500, 0.2500])
    """
    each = torch.stack([one.log_softmax(dim=-1) for one in logits])
    return each.logsumexp(dim=0) - math.log(len(each))
