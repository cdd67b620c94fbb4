"""How far a model has moved from where it started: in its predictions, and in its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lightning_untrac.functional.distributions import log_probabilities
from lightning_untrac.functional.loss import IGNORE_INDEX


def token_divergence_sum(reference: Tensor, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the Kullback-Leibler divergences KL(reference || model) over the places of the target tokens, in nats.

    Args:
        reference: ``[batch, length, vocabulary]``, logits of the model that is held to; any float dtype. The
            log-softmax is taken in float32, or in float64 for float64 logits.
        logits: alike, of the model that is moved.
        targets: ``[batch, length]`` int64, aligned with both; only where they are not :data:`IGNORE_INDEX` counts.

    Returns:
        A scalar, at least 0 (up to rounding), differentiable in ``logits``; and the number of places.

    Example:
        >>> reference = torch.tensor([[[0.0, 0.0]]])
        >>> logits = torch.tensor([[[0.75, 0.25]]]).log()
        >>> total, count = token_divergence_sum(reference, logits, torch.tensor([[0]]))
        >>> round(total.item(), 4), count.item()  # ln(2 / sqrt(3))
        (0.1438, 1)
    """
    counts = targets != IGNORE_INDEX
    return _pointwise(reference[counts], logits[counts]).sum(), counts.sum()


def token_divergences(reference: Tensor, logits: Tensor) -> Tensor:
    """KL(reference || model) at each place, in nats.

    Args:
        reference: ``[places, vocabulary]``, logits of the model that is held to; any float dtype.
        logits: alike, of the model that has moved.

    Returns:
        ``[places]``, at least 0.

    Example:
        >>> found = token_divergences(torch.zeros(1, 2), torch.tensor([[0.75, 0.25]]).log())
        >>> round(found.item(), 4)  # ln(2 / sqrt(3))
        0.1438
    """
    return _pointwise(reference, logits).sum(-1).clamp(min=0)  # rounding can end just below 0


def _pointwise(reference: Tensor, logits: Tensor) -> Tensor:
    kept, moved = log_probabilities(reference), log_probabilities(logits)
    impossible = kept.isneginf()  # masked before the product: 0 times infinity would be no number
    return kept.exp() * (kept.masked_fill(impossible, 0.0) - moved.masked_fill(impossible, 0.0))


Total = Callable[[Tensor], Tensor]
"""Makes sums over all elements of sums over those that are here."""


ROUNDING = 256
"""Machine epsilons: a gradient that is so much shorter than another one may be the rounding of 0."""


def _all_here(sums: Tensor) -> Tensor:
    return sums


def remove_conflict(
    gradient: Mapping[str, Tensor],
    average: Mapping[str, Tensor],
    least_cosine: float = -1.0,
    total: Total = _all_here,
) -> tuple[dict[str, Tensor], float]:
    """A gradient without its component against another one: the nearest one whose product with it is not negative.

    ``g - (<g, m> / ||m||^2) m`` where ``<g, m>`` is below 0, and ``g`` itself elsewhere: GRU's closed form of
    ``min 1/2 ||x - g||^2`` with ``<x, m> >= 0``. Products are taken in float64 over all tensors together. An m that
    is shorter than :data:`ROUNDING` of g is what rounding left of 0: it has no direction, and nothing is removed.

    Args:
        gradient: parameter name to g, any shapes and float dtypes.
        average: alike, of the same names: m.
        least_cosine: where the cosine of g and m is below this, it is taken for this, and less is removed (GRU's
            clipped form); -1 removes all.
        total: of sums over the elements in ``gradient`` makes sums over all; for tensors of which others are elsewhere.

    Returns:
        The new gradient, and ``<g, m>``.

    Example:
        >>> g, m = {"w": torch.tensor([1.0, -2.0, 0.5])}, {"w": torch.tensor([1.0, 1.0, 0.0])}
        >>> found, product = remove_conflict(g, m)
        >>> found["w"].tolist(), product
        ([1.5, -1.5, 0.5], -1.0)
    """
    sums = torch.stack([_products(g.double(), average[name].double()) for name, g in gradient.items()]).sum(0)
    product, length, squares = total(sums).tolist()
    if product >= 0 or length <= _rounding(average) ** 2 * squares:
        return dict(gradient), product
    share = product / length
    if least_cosine > -1:
        share = max(share, least_cosine * math.sqrt(squares / length))
    return {n: g - share * average[n].to(g.dtype) for n, g in gradient.items()}, product


def _rounding(tensors: Mapping[str, Tensor]) -> float:
    # Losses are taken in float32 at least, whatever the weights' own dtype.
    wide = all(tensor.dtype == torch.float64 for tensor in tensors.values())
    return ROUNDING * torch.finfo(torch.float64 if wide else torch.float32).eps


def _products(g: Tensor, m: Tensor) -> Tensor:
    return torch.stack([(g * m).sum(), m.square().sum(), g.square().sum()])


def uphill(gradient: Mapping[str, Tensor], radius: float, total: Total = _all_here) -> dict[str, Tensor]:
    """``radius g / ||g||``, the norm over all tensors together: the step to where a loss is worst nearby (SAM).

    Foret et al. 2021 (arXiv 2010.01412).

    Args:
        gradient: parameter name to g, any shapes and float dtypes.
        radius: length of the step.
        total: of a sum over the elements in ``gradient`` makes the sum over all.

    Returns:
        The step, 0 where the gradient is.

    Example:
        >>> uphill({"w": torch.tensor([3.0, 4.0])}, radius=1.0)["w"].tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    squares = torch.stack([g.double().square().sum() for g in gradient.values()]).sum()
    length = math.sqrt(float(total(squares)))
    return {name: g * (radius / length if length else 0.0) for name, g in gradient.items()}


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
