"""Losses on the hidden states of a layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def state_distance(states: Tensor, aim: Tensor) -> Tensor:
    """Mean squared distance over the width, in at least float32.

    Args:
        states: ``[places, width]``.
        aim: alike, or ``[width]``.

    Returns:
        ``[places]``.

    Example:
        >>> state_distance(torch.tensor([[1.0, 3.0]]), torch.tensor([1.0, 1.0])).item()
        2.0
    """
    precise = torch.promote_types(states.dtype, torch.float32)
    return (states.to(precise) - aim.to(precise)).square().mean(-1)


def random_direction(width: int, seed: int) -> Tensor:
    """A vector of length 1 whose elements were drawn uniformly from 0 to 1, the same on every machine.

    Li et al. 2024 (RMU, arXiv 2403.03218).

    Args:
        width: elements.
        seed: of the draw, at least 0.

    Returns:
        ``[width]`` float64.

    Example:
        >>> round(random_direction(5, seed=0).norm().item(), 9)
        1.0
    """
    drawn = torch.from_numpy(np.random.default_rng([seed, width]).random(width))
    return drawn / drawn.norm()
