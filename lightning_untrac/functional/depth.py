"""How deep a model has forgotten, layer by layer (UDS)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.uncertainty import Floats

THRESHOLD = 0.05
"""Nats per token that the states of a layer have to take from an example for the layer to count."""


def layer_retention(effects: Floats, reference: Floats) -> Floats:
    """What share of a retrained model's effect each layer has: ``clip(D / D_reference, 0, 1)``.

    Args:
        effects: ``[...]``, nats per token.
        reference: ``[...]``, of the retrained model, above 0 where it counts.

    Returns:
        ``[...]``; 1 where the layer hides as much as the retrained model's or more.

    Example:
        >>> layer_retention(np.array([0.4, 3.0, -1.0]), np.array([0.8, 1.5, 1.0])).tolist()
        [0.5, 1.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.clip(effects / reference, 0.0, 1.0))


def unlearning_depth(
    effects: Floats, reference: Floats, threshold: float = THRESHOLD
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Unlearning depth score of each example: ``sum_l D_l share_l / sum_l D_l`` over the layers that count.

    ``D_l`` is how much the states of layer l of a retrained model take from the target's log-probability under the
    original, ``share_l`` is :func:`layer_retention`, and a layer counts where ``D_l > threshold``.

    Args:
        effects: ``[layers, examples]`` of the model, nats per token.
        reference: ``[layers, examples]`` of a retrained model.
        threshold: nats per token.

    Returns:
        ``[examples]`` scores from 0 (as the original) to 1 (as the retrained model), 0 where no layer counts, and
        ``[examples]`` whether one does. A score is NaN where the model's effect is.

    Example:
        >>> reference, effects = np.array([[0.01], [0.2], [0.8], [1.5]]), np.array([[0.3], [0.05], [0.9], [0.6]])
        >>> scores, counts = unlearning_depth(effects, reference)
        >>> round(scores.item(), 4), counts.item()
        (0.58, True)
    """
    counted = reference > threshold
    weights = np.where(counted, reference, 0.0)
    shares = np.where(counted, layer_retention(effects, np.where(counted, reference, 1.0)), 0.0)
    known: npt.NDArray[np.bool_] = np.asarray(counted.any(axis=0))
    total = np.where(known, weights.sum(axis=0), 1.0)
    # Not the sum over the total: of a model that is the retrained one every share is 1, and so is the score, exactly.
    lost = (weights * (1.0 - shares)).sum(axis=0) / total
    return np.where(known, 1.0 - lost, 0.0), known
