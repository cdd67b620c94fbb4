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


def whole_number(objective: str, name: str, value: int, least: int) -> int:
    """A whole number that is not too small.

    Raises:
        ValueError: for any other.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{objective}({name}={value}): give a whole number from {least}")
    return value
