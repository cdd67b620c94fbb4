"""What all ranks have for a step, for terms that hold examples against each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def of_all_ranks(rows: Tensor) -> Tensor:
    """The rows of every rank in the order of ranks, with a gradient; each may have another number of them.

    Call it on every rank, also where there are no rows: the others wait. Gradients that the ranks' losses have by a row
    are summed where the row came from. That is right under strategies that average the gradients of ranks (as DDP and
    FSDP do), because a step gives each rank's share of a mean the weight of all ranks (``StepTraining.weighted``).

    Args:
        rows: of this rank, ``[rows, ...]``, with the same shape behind on all ranks.

    Returns:
        ``[rows of all ranks, ...]``; ``rows`` itself where there is one process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    found: Tensor = _OfAllRanks.apply(rows) if rows.requires_grad else _gather(rows)[0]
    return found


def _gather(rows: Tensor) -> tuple[Tensor, list[int]]:
    """All rows, and how many each rank has; those of short ranks are filled up on the way."""
    ranks = dist.get_world_size()
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(ranks)]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    counts = [int(size) for size in sizes]
    filled = rows.new_zeros((max(counts), *rows.shape[1:]))
    filled[: len(rows)] = rows
    found = [torch.empty_like(filled) for _ in range(ranks)]
    dist.all_gather(found, filled)
    return torch.cat([one[:count] for one, count in zip(found, counts, strict=True)]), counts


class _OfAllRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        found, counts = _gather(rows.detach())
        first = sum(counts[: dist.get_rank()])
        ctx.mine = slice(first, first + len(rows))
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[ctx.mine]
