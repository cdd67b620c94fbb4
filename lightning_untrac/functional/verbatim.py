"""How likely a text comes out word for word when a model is let speak, without letting it speak."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_untrac.functional.suffixes import suffix_places
from lightning_untrac.functional.token_losses import IGNORE_INDEX, token_losses


def verbatim_log_probs(
    logits: Tensor, targets: Tensor, prefix: int, length: int | None = None, temperature: float = 1.0,
    top_k: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Log-probability that one draw goes on with the true text after its first tokens.

    Args:
        logits: ``[batch, length, vocabulary]``, any float dtype.
        targets: ``[batch, length]`` int64, aligned with ``logits``, -100 where there is no target.
        prefix: first target tokens that are given.
        length: target tokens of the suffix; None for all that are left.
        temperature: of the draws, above 0.
        top_k: how many of the likeliest tokens are drawn from (and those as likely as the last of them); None for all.

    Returns:
        ``log_probs`` (``[batch]`` float64, nats, at most 0; ``-inf`` where ``top_k`` leaves a token out; NaN where a
        text is too short) and ``counts`` (``[batch]`` bool).

    Example:
        >>> logits = torch.tensor([[[0.0, 0.0], [0.0, math.log(3.0)]]]).double()
        >>> targets = torch.tensor([[0, 1]])
        >>> round(verbatim_log_probs(logits, targets, prefix=0)[0].exp().item(), 6)  # 1/2 * 3/4
        0.375
        >>> round(verbatim_log_probs(logits, targets, prefix=1, temperature=0.5)[0].exp().item(), 6)  # 9 / (9 + 1)
        0.9
        >>> verbatim_log_probs(logits, torch.tensor([[0, 0]]), prefix=0, top_k=1)[0].exp().item()
        0.0
    """
    places, whole = suffix_places(targets, prefix, length)
    found = torch.zeros(len(targets), dtype=torch.float64, device=logits.device)
    for row, (own, wanted) in enumerate(zip(logits, targets.masked_fill(~places, IGNORE_INDEX), strict=True)):
        scores, asked = own[places[row]], wanted[places[row]]
        if temperature != 1:
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
        if top_k is not None and top_k < scores.shape[-1] and len(scores):
            least = scores.topk(top_k, dim=-1).values[:, -1:]
            scores = scores.masked_fill(scores < least, -math.inf)
        found[row] = -token_losses(scores, asked).double().sum()
    return found.clamp(max=0).masked_fill(~whole, math.nan), whole


def log_of_rest(log_probs: Tensor) -> Tensor:
    """``log(1 - p)`` of a log-probability, exact for tiny and for nearly certain ones.

    Args:
        log_probs: of any shape, float64, at most 0.

    Example:
        >>> [f"{one:.6g}" for one in log_of_rest(torch.tensor([-1e-20, -50.0], dtype=torch.float64)).tolist()]
        ['-46.0517', '-1.92875e-22']
    """
    return torch.where(log_probs > -math.log(2), (-log_probs.expm1()).log(), (-log_probs.exp()).log1p())


def chance_within(log_probs: Tensor, n: int) -> Tensor:
    """Chance that at least one of ``n`` draws gives what one gives with a probability: ``1 - (1 - p)^n``.

    Args:
        log_probs: log-probability of one draw, float64, of any shape.
        n: draws.

    Example:
        >>> round(chance_within(torch.tensor(0.02, dtype=torch.float64).log(), 100).item(), 8)
        0.86738044
    """
    return -torch.expm1(n * log_of_rest(log_probs))
