"""What forgetting one dataset costs another, to first order."""

from __future__ import annotations

from torch import Tensor


def rise_per_unit(products: Tensor, forget_product: Tensor) -> Tensor:
    """How far the losses of datasets rise while that of the forget set rises by one unit, by a small step of ascent.

    A step of plain gradient ascent moves the weights by ``lr * g_f``, which changes the loss of a dataset with gradient
    g by ``lr * g . g_f``, and that of the forget set by ``lr * g_f . g_f``. The quotient has no learning rate.

    Args:
        products: ``[datasets]`` g . g_f, gradients of mean losses per token.
        forget_product: g_f . g_f, a scalar; 0 gives NaN.

    Returns:
        ``[datasets]`` nats per token for each nat per token of the forget set.

    Example:
        >>> import torch
        >>> rise_per_unit(torch.tensor([1.0, -0.5]), torch.tensor(2.0))
        tensor([ 0.5000, -0.2500])
    """
    return products / forget_product.where(forget_product > 0, float("nan"))
