"""How far a model has moved from where it started: in its predictions, and in its weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_untrac.functional.loss import IGNORE_INDEX


def mean_token_divergence(reference: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence KL(reference || model) over the places of the target tokens, in nats.

    Args:
        reference: ``[batch, length, vocabulary]``, logits of the model that is held to; any float dtype. The
            log-softmax is taken in float32, or in float64 for float64 logits.
        logits: alike, of the model that is moved.
        targets: ``[batch, length]`` int64, aligned with both; only where they are not :data:`IGNORE_INDEX` counts.

    Returns:
        A scalar, at least 0 (up to rounding), differentiable; NaN where there is no target.

    Example:
        >>> reference = torch.tensor([[[0.0, 0.0]]])
        >>> logits = torch.tensor([[[0.75, 0.25]]]).log()
        >>> round(mean_token_divergence(reference, logits, torch.tensor([[0]])).item(), 4)  # ln(2 / sqrt(3))
        0.1438
    """
    counts = targets != IGNORE_INDEX
    kept, moved = (_log_probabilities(part[counts]) for part in (reference, logits))
    return (kept.exp() * (kept - moved)).sum(-1).mean()


def _log_probabilities(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def anchor_penalty(weights: Mapping[str, Tensor], anchor: Mapping[str, Tensor], fisher: Mapping[str, Tensor]) -> Tensor:
    """``1/2 sum_i F_i (theta_i - theta_0,i)^2``: the second-order rise of a loss whose curvature at theta_0 is F.

    Args:
        weights: parameter name to the weights now, of any shape and float dtype.
        anchor: alike, of the same names: the weights that are held to.
        fisher: alike, of elements that are at least 0.

    Returns:
        A scalar in at least float32, differentiable in ``weights``.

    Example:
        >>> w = {"w": torch.tensor([1.0, 2.0])}
        >>> anchor_penalty(w, {"w": torch.zeros(2)}, {"w": torch.tensor([2.0, 1.0])}).item()
        3.0
    """
    parts = []
    for name, weight in weights.items():
        precise = torch.promote_types(weight.dtype, torch.float32)
        parts.append((fisher[name] * (weight.to(precise) - anchor[name].to(precise)).square()).sum())
    return torch.stack(parts).sum() / 2
