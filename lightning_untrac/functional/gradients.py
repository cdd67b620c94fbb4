"""Products of gradients, and what scores are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def inner_product(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensor:
    """Sum over all elements of two gradients' products, multiplied and added in float64.

    Args:
        left: parameter name to a tensor of any shape and float dtype.
        right: alike; a name that is missing on either side counts as zero.

    Returns:
        A scalar, float64, on the tensors' device.

    Example:
        >>> inner_product({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0]), "b": torch.ones(1)}).item()
        11.0
    """
    total = torch.zeros((), dtype=torch.float64)
    for name, tensor in left.items():
        if name in right:
            total = total.to(tensor.device) + torch.dot(tensor.flatten().double(), right[name].flatten().double())
    return total


def euclidean_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of tensors as one long vector, squared and added in float64.

    It is not the mean over tensors of their norms, which grows and shrinks with how a model's weights are cut up.

    Args:
        tensors: of any shapes and float dtypes, on one device; at least one.

    Returns:
        A scalar, float64, on their device.

    Example:
        >>> euclidean_norm([torch.tensor([[1.0, 2.0]]), torch.tensor(2.0)]).item()
        3.0
    """
    norms = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors]
    return torch.linalg.vector_norm(torch.stack(norms))


def cosines(products: Tensor, left_norms: Tensor, right_norms: Tensor) -> Tensor:
    """Cosines of the angles between gradients.

    Args:
        products: ``[left, right]`` float64, inner products.
        left_norms: ``[left]`` float64, Euclidean norms.
        right_norms: ``[right]`` alike.

    Returns:
        ``[left, right]`` float64 in [-1, 1]; NaN where a gradient is zero.

    Example:
        >>> cosines(torch.tensor([[6.0]]), torch.tensor([3.0]), torch.tensor([4.0])).item()
        0.5
    """
    return products / (left_norms[:, None] * right_norms[None, :])


def centred_products(products: Tensor, shares: Tensor) -> Tensor:
    """First-order effect of leaving a corpus out of a mixture: ``p_k / (1 - p_k) * (g_k - g_mix) . g'``.

    Args:
        products: ``[corpora, test sets]`` float64, ``g_k . g'``.
        shares: ``[corpora]`` float64, ``p_k``: the corpora's shares of the training tokens; they add up to 1.

    Returns:
        ``[corpora, test sets]`` float64; every column weighted by ``1 - p_k`` adds up to 0.

    Example:
        >>> centred_products(torch.tensor([[3.0], [1.0]]), torch.tensor([0.5, 0.5])).tolist()
        [[1.0], [-1.0]]
    """
    mixture = shares @ products
    return share_odds(shares)[:, None] * (products - mixture)


def share_odds(shares: Tensor) -> Tensor:
    """``p / (1 - p)`` of shares below 1.

    Example:
        >>> share_odds(torch.tensor([0.5, 0.75])).tolist()
        [1.0, 3.0]
    """
    return shares / (1 - shares)


def damped(fisher: Mapping[str, Tensor], damping: float) -> dict[str, Tensor]:
    """A diagonal Fisher matrix plus ``damping`` times the mean of its elements.

    Args:
        fisher: parameter name to a tensor of elements that are at least 0.
        damping: relative to the mean over all elements of all parameters; positive.

    Returns:
        Tensors of the same shapes, all elements above 0.

    Raises:
        ValueError: if the damping is not positive or every element is 0.

    Example:
        >>> damped({"w": torch.tensor([0.0, 2.0])}, 0.5)["w"].tolist()
        [0.5, 2.5]
    """
    if not damping > 0:
        raise ValueError(f"damping: expected a positive number, got {damping}")
    count = sum(tensor.numel() for tensor in fisher.values())
    mean = sum(tensor.double().sum().item() for tensor in fisher.values()) / max(1, count)
    if not mean > 0:
        raise ValueError(f"the mean of the Fisher matrix is {mean}; expected it to be positive")
    return {name: tensor + damping * mean for name, tensor in fisher.items()}
