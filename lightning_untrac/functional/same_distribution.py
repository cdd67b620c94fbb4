"""Whether the numbers of two models may be draws of one distribution."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional.uncertainty import Floats


def ks_p_value(one: Floats, other: Floats) -> float:
    """p-value of the two-sample Kolmogorov-Smirnov test.

    Args:
        one: ``[n]`` numbers; those that are NaN are left out.
        other: ``[m]`` likewise.

    Returns:
        Small where the two are unlikely to be draws of one distribution; NaN where one has no number.

    Example:
        >>> ks_p_value(np.arange(50.0), np.arange(50.0)), ks_p_value(np.arange(50.0), np.arange(50.0) + 100) < 1e-20
        (1.0, True)
    """
    from scipy.stats import ks_2samp

    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    return float(ks_2samp(one, other).pvalue) if len(one) and len(other) else float("nan")
