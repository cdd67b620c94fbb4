"""How much of a text a model would go on with by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_untrac.functional.token_losses import CPU_PIECE, IGNORE_INDEX


def target_hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Which target tokens are the model's first choice, given the true tokens before them.

    Of tokens with equal logits the one that ``argmax`` gives is the first choice.

    Args:
        logits: ``[batch, length, vocabulary]``, any float dtype.
        targets: ``[batch, length]`` int64, aligned with ``logits``, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``[batch, length]`` bool; False where there is no target.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
        >>> target_hits(logits, torch.tensor([[1, 2, -100]])).tolist()
        [[True, False, False]]
    """
    if logits.device.type != "cpu":
        return logits.argmax(dim=-1) == targets
    # On a CPU a maximum takes a tenth of argmax' time.
    flat, wanted = logits.detach().flatten(0, -2), targets.flatten()
    rows = max(1, CPU_PIECE // max(1, flat.shape[1]))
    places = (wanted != IGNORE_INDEX).nonzero().flatten()
    room = flat.new_empty(min(rows, len(places)), flat.shape[1])
    hits = torch.zeros_like(wanted, dtype=torch.bool)
    for part in places.split(rows):
        hits[part] = _first_choices(torch.index_select(flat, 0, part, out=room[: len(part)]), wanted[part])
    return hits.view_as(targets)


def _first_choices(logits: Tensor, targets: Tensor) -> Tensor:
    """Which targets ``[tokens]`` argmax would choose; ``logits`` ``[tokens, vocabulary]`` are written to."""
    index = targets.unsqueeze(1)
    own = logits.gather(1, index)
    best_other = logits.scatter_(1, index, -torch.inf).amax(dim=1, keepdim=True)
    hits = (own > best_other).squeeze(1)
    unclear = ~(hits | (own < best_other).squeeze(1))  # ties, and what is not a number
    if unclear.any():
        rows = logits.scatter_(1, index, own)[unclear]
        hits[unclear] = rows.argmax(dim=1) == targets[unclear]
    return hits


def memorisation_accuracy(hits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each example's target tokens that are the model's first choice.

    Args:
        hits: ``[batch, length]`` bool, of :func:`target_hits`.
        targets: ``[batch, length]`` int64, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``shares`` (``[batch]`` float64 in [0, 1]; NaN without a target) and ``num_tokens`` (``[batch]`` int64).

    Example:
        >>> import torch
        >>> shares, counts = memorisation_accuracy(torch.tensor([[True, False, False]]), torch.tensor([[1, 2, -100]]))
        >>> shares.tolist(), counts.tolist()
        ([0.5], [2])
    """
    num_tokens = (targets != IGNORE_INDEX).sum(dim=1)
    return hits.sum(dim=1).double() / num_tokens, num_tokens


def extraction_strength(hits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each example that the model gives away by itself: ``1 - k / T``.

    Of its T target tokens k is the fewest that have to be given, so that all others are the model's first choices. As
    each of them then is what greedy decoding goes on with, it writes the rest of the text.

    Args:
        hits: ``[batch, length]`` bool, of :func:`target_hits`.
        targets: ``[batch, length]`` int64, :data:`IGNORE_INDEX` where there is no target.

    Returns:
        ``strengths`` (``[batch]`` float64 in [0, 1]; NaN without a target) and ``num_tokens`` (``[batch]`` int64).

    Example:
        >>> import torch
        >>> hits = torch.tensor([[1, 0, 1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0]], dtype=torch.bool)
        >>> extraction_strength(hits, torch.zeros(2, 8, dtype=torch.long))[0].tolist()
        [0.25, 0.0]
    """
    missed = (targets != IGNORE_INDEX) & ~hits
    missed_later = missed.flip(1).cumsum(dim=1).flip(1)  # this token included
    return memorisation_accuracy(hits & (missed_later == 0), targets)
