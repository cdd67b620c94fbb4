"""How likely each token is beside all others that could stand there."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from lightning_untrac.functional.token_losses import IGNORE_INDEX, PIECE

CPU_PIECE: Final = 2**18
"""Logits that are taken at a time on a CPU: 1 MiB in float32, which stays in its cache."""

LEAST_VARIANCE: Final = 1e-6
"""A model that is sure of one token has next to no variance; the authors' code divides by 0 there."""


def standardised_log_probs(logits: Tensor, targets: Tensor, piece: int | None = None) -> Tensor:
    """``(log p(x) - mean) / deviation`` of each token, both of ``log p(w)`` for w drawn from the model's prediction.

    Args:
        logits: ``[tokens, vocabulary]``, any float dtype; computed in at least float32.
        targets: ``[tokens]`` int64, :data:`IGNORE_INDEX` where there is no target.
        piece: logits that are taken at a time; by default what suits the device.

    Returns:
        ``[tokens]`` without gradient; 0 where there is no target.

    Example:
        The likelier of two tokens, of 3/4 and 1/4, stands ``sqrt(1/3)`` deviations above the mean:

        >>> z = standardised_log_probs(torch.tensor([[0.75, 0.25]]).log().repeat(2, 1), torch.tensor([0, 1]))
        >>> [round(one, 4) for one in z.tolist()]
        [0.5774, -1.7321]
    """
    piece = piece or (CPU_PIECE if logits.device.type == "cpu" else PIECE)
    rows = max(1, piece // max(1, logits.shape[1]))
    places = (targets != IGNORE_INDEX).nonzero().flatten()
    # Only a piece of the targets' logits is ever copied.
    found = [_standardised(logits.detach()[part], targets[part]) for part in places.split(rows)]
    every = torch.zeros(targets.shape, dtype=found[0].dtype, device=logits.device)
    every[places] = torch.cat(found)
    return every


def _standardised(logits: Tensor, targets: Tensor) -> Tensor:
    logits = logits if logits.dtype == torch.float64 else logits.float()
    log_probs = torch.log_softmax(logits, dim=1)
    found = log_probs.gather(1, targets.unsqueeze(1)).squeeze(1)
    probs = log_probs.exp()
    mean = torch.linalg.vecdot(probs, log_probs)
    if mean.isnan().any():  # an impossible token adds nothing, where 0 * -inf is NaN; what is NaN otherwise stays so
        log_probs.masked_fill_(log_probs == -torch.inf, 0.0)
        mean = torch.linalg.vecdot(probs, log_probs)
    # Around the mean: a difference of squares would lose what is left of it in float32. In place, for memory and time.
    variance = torch.linalg.vecdot(probs, log_probs.sub_(mean.unsqueeze(1)).square_())
    return (found - mean) / variance.clamp(min=LEAST_VARIANCE).sqrt()
