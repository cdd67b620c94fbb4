"""What the arguments of objectives have to be."""

from __future__ import annotations

import math


def non_negative(objective: str, name: str, value: float) -> float:
    """A finite number of at least 0.

    Raises:
        ValueError: for any other.
    """
    if not 0 <= value < math.inf:
        raise ValueError(f"{objective}({name}={value}): give a finite number of at least 0, e.g. 1.0")
    return value


def positive(objective: str, name: str, value: float, example: float) -> float:
    """A finite number above 0.

    Raises:
        ValueError: for any other.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"{objective}({name}={value}): give a finite number above 0, e.g. {example}")
    return value
