"""How high the loss rises on the straight line between two models."""

from __future__ import annotations

import numpy as np

from lightning_untrac.functional.uncertainty import Floats


def loss_barrier(losses: Floats, places: Floats) -> Floats:
    """``max over a of L(theta_a) - ((1 - a) L(theta_0) + a L(theta_1))``, theta_a on the line between two models.

    0 where the loss never rises above the line between the two ends; the ends themselves give 0.

    Args:
        losses: ``[A, ...]`` at each place, the first at ``a = 0`` and the last at ``a = 1``.
        places: ``[A]``, rising from 0 to 1.

    Returns:
        ``[...]``, in the unit of the losses; at least 0.

    Example:
        >>> loss_barrier(np.array([[1.0], [2.5], [2.0]]), np.array([0.0, 0.5, 1.0])).tolist()
        [1.0]
    """
    along = places.reshape(-1, *([1] * (losses.ndim - 1)))
    return np.asarray((losses - ((1 - along) * losses[0] + along * losses[-1])).max(axis=0))
