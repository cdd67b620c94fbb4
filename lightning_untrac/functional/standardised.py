"""How likely each token is beside all others that could stand there."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from lightning_untrac.functional.token_losses import PIECE

LEAST_VARIANCE: Final = 1e-6
"""A model that is sure of one token has next to no variance; the authors' code divides by 0 there."""


def standardised_log_probs(logits: Tensor, targets: Tensor, piece: int = PIECE) -> Tensor:
    """``(log p(x) - mean) / deviation`` of each token, both of ``log p(w)`` for w drawn from the model's prediction.

    Args:
        logits: ``[tokens, vocabulary]``, any float dtype; computed in at least float32.
        targets: ``[tokens]`` int64.
        piece: logits that are taken at a time.

    Returns:
        ``[tokens]`` without gradient.

    Example:
        The likelier of two tokens, of 3/4 and 1/4, stands ``sqrt(1/3)`` deviations above the mean:

        >>> z = standardised_log_probs(torch.tensor([[0.75, 0.25]]).log().repeat(2, 1), torch.tensor([0, 1]))
        >>> [round(one, 4) for one in z.tolist()]
        [0.5774, -1.7321]
    """
    rows = max(1, piece // max(1, logits.shape[1]))
    pairs = zip(logits.detach().split(rows), targets.split(rows), strict=True)
    return torch.cat([_standardised(*pair) for pair in pairs])


def _standardised(logits: Tensor, targets: Tensor) -> Tensor:
    logits = logits if logits.dtype == torch.float64 else logits.float()
    log_probs = torch.log_softmax(logits, dim=1)
    probs = log_probs.exp()
    # An impossible token adds nothing, where 0 * -inf would be NaN; what is NaN stays so.
    counted = log_probs.masked_fill(log_probs == -torch.inf, 0.0)
    mean = (probs * counted).sum(dim=1)
    # Around the mean: a difference of squares would lose what is left of it in float32.
    variance = (probs * (counted - mean.unsqueeze(1)).square()).sum(dim=1)
    found = log_probs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (found - mean) / variance.clamp(min=LEAST_VARIANCE).sqrt()
