"""Weights added and taken away like vectors."""

from __future__ import annotations

from torch import Tensor


def negated(start: Tensor, tuned: Tensor, coefficient: float) -> Tensor:
    """``start - coefficient (tuned - start)``: a task vector, taken away instead of added.

    Ilharco et al. 2023 (arXiv 2212.04089). It is computed in the weights' own precision, in float32 at least.

    Args:
        start: weights before training on the task, any shape and float dtype.
        tuned: those after it, alike.
        coefficient: 0 gives ``start``, -1 ``tuned``.

    Returns:
        Alike.

    Example:
        >>> import torch
        >>> negated(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0]), coefficient=2.0).tolist()
        [0.0, 2.0]
    """
    wide = start.float() if start.element_size() < 4 else start
    return (wide - coefficient * (tuned.to(wide.dtype) - wide)).to(start.dtype)
