"""Whether the right answer is likelier than every wrong one."""

from __future__ import annotations

import torch
from torch import Tensor


def right_is_likeliest(right_losses: Tensor, wrong_losses: Tensor, wrong_counts: Tensor) -> Tensor:
    """1 where the right answer is likelier than each wrong one.

    Args:
        right_losses: ``[batch]`` negative log-likelihood of the right answer, nats; NaN where there is none.
        wrong_losses: ``[batch, answers]`` likewise of each wrong answer.
        wrong_counts: ``[batch, answers]`` its tokens; 0 where there is no such answer.

    Returns:
        ``[batch]`` float64; NaN where there is no right or no wrong answer. Equally likely answers are not told apart,
        which counts as 0.

    Example:
        >>> wrong = torch.tensor([[2.0, 3.0], [0.5, 0.0], [0.0, 0.0]])
        >>> counts = torch.tensor([[1, 1], [1, 0], [0, 0]])
        >>> right_is_likeliest(torch.tensor([1.0, 1.0, 1.0]), wrong, counts).tolist()
        [1.0, 0.0, nan]
    """
    there = wrong_counts > 0
    likeliest = torch.where(there, wrong_losses.double(), torch.inf).amin(dim=1) if there.shape[1] else right_losses
    unknown = ~there.any(dim=1) | right_losses.isnan()
    return (right_losses.double() < likeliest).double().masked_fill(unknown, torch.nan)
