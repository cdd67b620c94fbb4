"""Sizes of steps whose direction was damped by a curvature."""

from __future__ import annotations

import math


def scale_to_budget(slope: float, squared_length: float, damping: float, budget: float) -> float:
    """What to multiply ``d = (G + damping)^-1 g`` by, so that ``1/2 d'Gd`` becomes ``budget``.

    ``G`` is the Gauss-Newton (Fisher) matrix of predictions, so that ``1/2 d'Gd`` is to second order their
    Kullback-Leibler divergence from those before. It needs no product with ``G``, since ``d'Gd = g'd - damping d'd``.

    Args:
        slope: ``g'd``.
        squared_length: ``d'd``.
        damping: at least 0; 0 where it differs between parts or isn't known gives a scale that is too small.
        budget: in the unit of ``G``.

    Raises:
        ValueError: if ``d'Gd`` is not above 0.

    Example:
        >>> scale_to_budget(slope=2.0, squared_length=1.0, damping=0.0, budget=0.25)
        0.5
    """
    curved = slope - damping * squared_length
    if not 0 < curved < math.inf:
        raise ValueError(f"the curvature along the step is {curved}; expected a finite number above 0")
    return math.sqrt(2 * budget / curved)
