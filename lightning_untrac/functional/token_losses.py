"""Each token's loss, in pieces over tokens, so that a large vocabulary's logits are not copied whole."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE_INDEX = -100
"""Label of a position that is not a target (padding, prompt); transformers' convention."""

PIECE = 2**22
"""Logits of a piece: 16 MiB in float32. Smaller inputs are one piece (``benchmarks/loss_pieces.py``)."""

CPU_PIECE = 2**17
"""Logits that are copied at a time on a CPU: 512 KiB in float32, of which some stay in the cache of a core."""


def token_losses(logits: Tensor, targets: Tensor, piece: int = PIECE) -> Tensor:
    """Negative log-likelihood of each token in nats, differentiable; the same bits whatever the pieces.

    Cross entropy keeps two float32 tensors of the logits' size for its backward pass and makes a third there. Here a
    piece of tokens at a time is taken, and computed again in the backward pass, whose one large tensor is the logits'
    gradient itself.

    Args:
        logits: ``[tokens, vocabulary]``, any float dtype; the log-softmax is taken in float32, or in float64 for
            float64 logits.
        targets: ``[tokens]`` int64, :data:`IGNORE_INDEX` where there is no target.
        piece: logits that are taken at a time.

    Returns:
        ``[tokens]`` in the precision of the log-softmax; 0 where there is no target.

    Example:
        >>> [round(loss, 4) for loss in token_losses(torch.zeros(2, 4), torch.tensor([3, -100])).tolist()]
        [1.3863, 0.0]
    """
    rows = max(1, piece // max(1, logits.shape[1]))
    # Transforms of torch.func (gradients of single examples, say) need every operation as one of torch's own.
    if logits.shape[0] <= rows or torch._C._functorch.peek_interpreter_stack() is not None:
        return _losses(logits, targets)
    return _InPieces.apply(logits, targets, rows)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(_precise(logits), targets, ignore_index=IGNORE_INDEX, reduction="none")


def _precise(logits: Tensor) -> Tensor:
    """In at least float32: a half precision log-softmax is off by whole percents."""
    return logits if logits.dtype == torch.float64 else logits.float()


class _InPieces(torch.autograd.Function):
    """:func:`_losses` over rows at a time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.rows = rows
        log_probs = _room(logits, rows)
        losses = []
        for part, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
            found = torch.log_softmax(_precise(part), 1, out=log_probs[: len(part)])
            counted = wanted != IGNORE_INDEX
            at_target = found.gather(1, torch.where(counted, wanted, 0).unsqueeze(1)).squeeze(1)
            losses.append(torch.where(counted, -at_target, 0))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, targets = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of this gradient is asked for
            return _differentiable_gradient(logits, targets, gradient), None, None
        found = torch.empty_like(logits)
        log_probs, at_target, result = (_room(logits, ctx.rows) for _ in range(3))
        at_target.zero_()
        parts = (tensor.split(ctx.rows) for tensor in (logits, targets, gradient, found))
        for part, wanted, given, place in zip(*parts, strict=True):
            size = len(part)
            torch.log_softmax(_precise(part), 1, out=log_probs[:size])
            counted = wanted != IGNORE_INDEX
            index = torch.where(counted, wanted, 0).unsqueeze(1)
            at_target[:size].scatter_(1, index, torch.where(counted, -given, 0).unsqueeze(1))
            torch.ops.aten._log_softmax_backward_data.out(
                at_target[:size], log_probs[:size], 1, log_probs.dtype, out=result[:size]
            )
            place.copy_(result[:size])
            at_target[:size].scatter_(1, index, 0)
        return found, None, None


def _room(logits: Tensor, rows: int) -> Tensor:
    """Memory for a piece, taken once: an allocator that gets a new piece for each one gives less of them back."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.empty(rows, logits.shape[1], dtype=dtype, device=logits.device)


def _differentiable_gradient(logits: Tensor, targets: Tensor, gradient: Tensor) -> Tensor:
    counted = targets != IGNORE_INDEX
    probabilities = F.softmax(_precise(logits), dim=1)
    at_target = F.one_hot(torch.where(counted, targets, 0), logits.shape[1])
    return ((probabilities - at_target) * (gradient * counted).unsqueeze(1)).to(logits.dtype)
