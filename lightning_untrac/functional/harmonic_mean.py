"""The harmonic mean: as low as the lowest of its terms wants it."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional.uncertainty import Floats


def harmonic_mean(terms: Floats) -> Floats:
    """``n / sum(1 / x)`` of numbers of 0 and above; 0 where one of them is 0.

    Args:
        terms: ``[terms, ...]``.

    Returns:
        ``[...]``; NaN where a term is NaN.

    Example:
        >>> harmonic_mean(np.array([[0.5, 0.5, 0.5], [1.0, 0.0, np.nan]])).round(4).tolist()
        [0.6667, 0.0, nan]
    """
    with np.errstate(divide="ignore"):
        found = len(terms) / (1.0 / np.asarray(terms, dtype=np.float64)).sum(axis=0)
    return np.asarray(found)
