"""How much of a text a model would go on with by itself."""

from __future__ import annotations

from torch import Tensor

from lightning_untrac.functional.token_losses import IGNORE_INDEX


def memorisation_accuracy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each example's target tokens that are the model's first choice, given the true tokens before them.

    Of tokens with equal logits the one that ``argmax`` gives is the first choice.

    Args:
        logits: ``[batch, length, vocabulary]``, any float dtype.
        targets: ``[batch, length]`` int64, aligned with ``logits``, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``shares`` (``[batch]`` float64 in [0, 1]; NaN without a target) and ``num_tokens`` (``[batch]`` int64).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> shares, counts = memorisation_accuracy(logits, torch.tensor([[1, 2, -100]]))
        >>> shares.tolist(), counts.tolist()
        ([0.5], [2])
    """
    counted = targets != IGNORE_INDEX
    hits = (logits.argmax(dim=-1) == targets) & counted
    num_tokens = counted.sum(dim=1)
    return hits.sum(dim=1).double() / num_tokens, num_tokens
