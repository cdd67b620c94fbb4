"""What a text's least likely tokens say."""

from __future__ import annotations

import torch
from torch import Tensor


def lowest_mean(values: Tensor, places: Tensor, share: float) -> Tensor:
    """Mean of each sequence's lowest values: a share of them, rounded down, at least one.

    Args:
        values: ``[batch, length]`` float.
        places: ``[batch, length]`` bool, the values that count.
        share: above 0, at most 1.

    Returns:
        ``[batch]`` float64; NaN where none counts, or one that does is NaN.

    Example:
        >>> values = torch.tensor([[3.0, 1.0, 2.0, 9.0, 0.0], [5.0, 4.0, 0.0, 0.0, 0.0]])
        >>> places = torch.tensor([[True, True, True, True, False], [True, True, False, False, False]])
        >>> lowest_mean(values, places, 0.5).tolist()
        [1.5, 4.0]
    """
    counts = places.sum(dim=1)
    # A hair more: 0.29 * 100 is 28.999999999999996.
    chosen = (share * counts.double() + 1e-9).floor().clamp(min=1)
    ordered = torch.where(places, values.double(), torch.inf).sort(dim=1).values
    taken = torch.arange(values.shape[1], device=values.device) < chosen.unsqueeze(1)
    means = torch.where(taken, ordered, 0.0).sum(dim=1) / chosen
    unknown = (counts == 0) | (places & values.isnan()).any(dim=1)
    return means.masked_fill(unknown, torch.nan)
