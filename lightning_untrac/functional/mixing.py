"""Integers that look as if they were drawn, without a generator: SplitMix64 (Steele, Lea and Flood 2014) on int64.

int64 wraps round as uint64 does; only a right shift has to leave out the copies of the sign.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

STEP: Final = -0x61C8864680B583EB
"""What the generator's state grows by, as a signed number."""

_FIRST: Final = -0x40A7B892E31B1A47
_SECOND: Final = -0x6B2FB644ECCEEE15


def finalised(states: Tensor) -> Tensor:
    """The generator's output at a state: each bit of it depends on every bit of the state.

    Args:
        states: int64, any shape.

    Returns:
        int64, the same shape.

    Example:
        >>> [drawn % 2**64 for drawn in finalised(torch.tensor([1, 2]) * STEP).tolist()]  # seed 0
        [16294208416658607535, 7960286522194355700]
    """
    mixed = (states ^ shifted(states, 30)) * _FIRST
    mixed = (mixed ^ shifted(mixed, 27)) * _SECOND
    return mixed ^ shifted(mixed, 31)


def shifted(values: Tensor, bits: int) -> Tensor:
    """Right shift of int64 as if it were unsigned.

    Args:
        values: int64, any shape.
        bits: 1 to 63.
    """
    return torch.bitwise_right_shift(values, bits) & ((1 << (64 - bits)) - 1)
