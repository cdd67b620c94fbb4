"""How likely each token is beside all others that could stand there."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from lightning_untrac.functional.token_losses import CPU_PIECE, IGNORE_INDEX, PIECE, token_losses

LEAST_VARIANCE: Final = 1e-6
"""A model that is sure of one token has next to no variance; the authors' code divides by 0 there."""


def standardised_log_probs(
    logits: Tensor, targets: Tensor, losses: Tensor | None = None, piece: int | None = None
) -> Tensor:
    """``(log p(x) - mean) / deviation`` of each token, both of ``log p(w)`` for w drawn from the model's prediction.

    Args:
        logits: ``[tokens, vocabulary]``, any float dtype; computed in at least float32.
        targets: ``[tokens]`` int64, :data:`IGNORE_INDEX` where there is no target.
        losses: ``[tokens]`` of :func:`~lightning_untrac.functional.token_losses`, where they are known already: with
            a target's logit they give the log-softmax' denominator.
        piece: logits that are taken at a time; by default what suits the device.

    Returns:
        ``[tokens]`` without gradient; 0 where there is no target.

    Example:
        The likelier of two tokens, of 3/4 and 1/4, stands ``sqrt(1/3)`` deviations above the mean:

        >>> z = standardised_log_probs(torch.tensor([[0.75, 0.25]]).log().repeat(2, 1), torch.tensor([0, 1]))
        >>> [round(one, 4) for one in z.tolist()]
        [0.5774, -1.7321]
    """
    logits = logits.detach()
    losses = token_losses(logits, targets) if losses is None else losses.detach()
    places = (targets != IGNORE_INDEX).nonzero().flatten()
    log_sums = logits[places, targets[places]].to(losses.dtype) + losses[places]
    for place in losses[places].isposinf().nonzero().flatten():  # whose logit and loss cancel to nothing
        log_sums[place] = logits[places[place]].to(losses.dtype).logsumexp(dim=0)
    mean, variance = _moments(logits, places, log_sums, piece or (CPU_PIECE if logits.device.type == "cpu" else PIECE))
    every = torch.zeros_like(losses)
    every[places] = (-losses[places] - mean) / variance.clamp(min=LEAST_VARIANCE).sqrt()
    return every


def _moments(logits: Tensor, places: Tensor, log_sums: Tensor, piece: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the predictions' log-probabilities at some places, ``[places]`` both.

    A piece is copied at a time, into memory that is taken once: on a CPU new memory costs more than the arithmetic.
    """
    rows = max(1, piece // max(1, logits.shape[1]))
    rooms = log_sums.new_empty(3, min(rows, len(places)), logits.shape[1])
    mean, variance = torch.empty_like(log_sums), torch.empty_like(log_sums)
    least = math.ceil(math.log(torch.finfo(rooms.dtype).tiny))  # less adds nothing, is slow, and 0 * -inf is NaN
    for begin in range(0, len(places), rows):
        part = slice(begin, begin + rows)
        log_probs, probs, products = rooms[:, : len(places[part])]
        if logits.dtype == log_probs.dtype:
            torch.index_select(logits, 0, places[part], out=log_probs)
        else:
            log_probs.copy_(logits.index_select(0, places[part]))
        log_probs.sub_(log_sums[part, None]).clamp_(min=least)
        mass = torch.exp(log_probs, out=probs).sum(dim=1)  # 1 but for the rounding of large logits in their sum
        found = torch.mul(probs, log_probs, out=products).sum(dim=1) / mass
        # Around the mean: a difference of squares would lose what is left of it in float32.
        log_probs.sub_(found.unsqueeze(1))
        variance[part] = torch.mul(probs, log_probs, out=products).mul_(log_probs).sum(dim=1) / mass
        mean[part] = found - mass.log()
    return mean, variance
