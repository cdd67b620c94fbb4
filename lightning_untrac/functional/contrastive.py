"""Contrastive unlearning: push representations away from their own class and towards the others.

Contrastive unlearning by Lee et al. (arXiv 2401.10458) and DeepCUT by He et al. (arXiv 2503.14900, of whose loss only a
description in words was at hand, so that what is written here is our reading of it).
"""

from __future__ import annotations

import math
from typing import Final, Literal, get_args

import torch
from torch import Tensor

Denominator = Literal["same", "all"]
"""What the push is over: partners of the anchor's own class (Lee et al.), or all of them (a supervised contrastive loss
with the classes reversed)."""

DENOMINATORS: Final[tuple[Denominator, ...]] = get_args(Denominator)


def unit_vectors(vectors: Tensor) -> Tensor:
    """Each vector at length 1, in at least float32; a vector of zeros stays one.

    Args:
        vectors: ``[..., width]``.
    """
    precise = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return torch.nn.functional.normalize(precise, dim=-1)


def similarities(anchors: Tensor, partners: Tensor, temperature: float) -> Tensor:
    """Cosine of each anchor with each partner over the temperature, from ``-1/temperature`` to ``1/temperature``.

    Without lengths of 1 the loss would have no lower bound.

    Args:
        anchors: ``[anchors, width]``.
        partners: ``[partners, width]``.
        temperature: above 0.

    Returns:
        ``[anchors, partners]``, in at least float32.
    """
    return unit_vectors(anchors) @ unit_vectors(partners).T / temperature


def contrastive_unlearning(
    anchors: Tensor,
    anchor_classes: Tensor,
    partners: Tensor,
    partner_classes: Tensor,
    *,
    temperature: float = 0.7,
    denominator: Denominator = "same",
    own: Tensor | None = None,
    detach_partners: bool = False,
) -> Tensor:
    """The contrastive unlearning loss of each anchor, nats.

    With s the cosines over the temperature, S the partners of the anchor's class and D those of other classes::

        same:  -mean_D s + log sum_S exp(s)        at least -2/temperature + log |S|
        all:   -mean_D s + log sum_S,D exp(s)      from 0 to 2/temperature + log (|D| + |S|)

    The first is Lee et al. (arXiv 2401.10458); their code counts the logarithm ``(|D| + |S|) / |D|`` times, here it
    counts once. The second is a supervised contrastive loss with the classes reversed, our reading of DeepCUT. An
    anchor without a partner in S is only pulled (the sum is taken as 1, as Lee et al. do where a whole class is
    forgotten). One without a partner in D has nothing to go to: it is skipped, with a value and a gradient of 0.

    Several views of an example are several anchors, or several partners, in any order.

    Args:
        anchors: what is to be forgotten, ``[anchors, width]``.
        anchor_classes: ``[anchors]`` int64.
        partners: what is to stay, ``[partners, width]``.
        partner_classes: ``[partners]`` int64.
        temperature: above 0; .7 is that of Lee et al.
        denominator: ``same`` or ``all``.
        own: which partners are views of the anchor itself, ``[anchors, partners]`` bool; they neither pull nor push.
        detach_partners: stop the gradient at the partners, so that the anchors alone are moved. Lee et al. move both.

    Returns:
        ``[anchors]``, in at least float32.

    Raises:
        ValueError: for an unknown denominator.

    Example:
        >>> anchor, kept = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> contrastive_unlearning(anchor, torch.tensor([0]), kept, torch.tensor([0, 1]), temperature=0.5).tolist()
        [2.0]
    """
    if denominator not in DENOMINATORS:
        raise ValueError(f"denominator={denominator!r}: give one of {', '.join(DENOMINATORS)}")
    found = similarities(anchors, partners.detach() if detach_partners else partners, temperature)
    same = anchor_classes[:, None] == partner_classes[None]
    other = ~same
    if own is not None:
        same, other = same & ~own, other & ~own
    pull = found.masked_fill(~other, 0.0).sum(1) / other.sum(1).clamp(min=1)
    push = log_sum(found, same if denominator == "same" else same | other)
    return (push - pull).masked_fill(~other.any(dim=1), 0.0)


def push_apart(anchors: Tensor, partners: Tensor, *, temperature: float = 0.7, detach_partners: bool = False) -> Tensor:
    """``log mean exp(s)`` over an anchor's partners: the push of :func:`contrastive_unlearning` alone, without classes.

    Its gradient is that of the push there, the nearest partners first. The mean in place of the sum keeps the value
    from ``-1/temperature`` to ``1/temperature``, however many partners there are.

    Args:
        anchors: what is to be forgotten, ``[anchors, width]``.
        partners: what is to stay, ``[partners, width]``.
        temperature: above 0.
        detach_partners: stop the gradient at the partners.

    Returns:
        ``[anchors]``, in at least float32; 0 without partners.

    Example:
        >>> push_apart(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [5.0, 0.0]]), temperature=0.5).tolist()
        [2.0]
    """
    found = similarities(anchors, partners.detach() if detach_partners else partners, temperature)
    return log_sum(found, torch.ones_like(found, dtype=torch.bool)) - math.log(max(1, len(partners)))


def log_sum(found: Tensor, chosen: Tensor) -> Tensor:
    """``log sum exp`` over the chosen ones of each row; 0, with a gradient of 0, where there are none.

    Args:
        found: ``[rows, columns]``.
        chosen: bool, alike.
    """
    some = chosen.any(dim=1)
    # A row of minus infinities has a gradient of NaN, which no later mask takes out again.
    safe = found.masked_fill(~chosen & some[:, None], -torch.inf)
    if not found.shape[1]:
        return found.sum(1)
    return safe.logsumexp(1).masked_fill(~some, 0.0)
