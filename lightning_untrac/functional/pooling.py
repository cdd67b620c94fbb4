"""One vector a sequence."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_states(states: Tensor, places: Tensor) -> Tensor:
    """The mean hidden state over some places of each sequence, in at least float32.

    Args:
        states: ``[batch, length, width]``.
        places: ``[batch, length]`` bool.

    Returns:
        ``[sequences, width]``, those that have a place, in order.

    Example:
        >>> states = torch.tensor([[[1.0], [3.0], [9.0]], [[5.0], [6.0], [7.0]]])
        >>> mean_states(states, torch.tensor([[True, True, False], [False, False, False]])).tolist()
        [[2.0]]
    """
    rows = places.any(dim=1)
    kept = places[rows].unsqueeze(-1)
    precise = states[rows].to(torch.promote_types(states.dtype, torch.float32))
    return precise.masked_fill(~kept, 0.0).sum(dim=1) / kept.sum(dim=1)
