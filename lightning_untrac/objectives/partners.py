"""Terms that hold a step's examples against each other, and what all ranks have for it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch import distributed as dist
from typing_extensions import override

from lightning_untrac.objectives.checks import positive, whole_number
from lightning_untrac.objectives.layers import checked_layer, layer_problems
from lightning_untrac.objectives.terms import ForgetTerm, Need, Seen, Stream, Term
from lightning_untrac.objectives.unlearns import Unlearns


class PartneredTerm(ForgetTerm):
    """A term that holds hidden states of the forget set against the retained ones of the whole step, over all ranks.

    Args:
        layer: its number from 0, or a share of the depth as a number with a point.
        temperature: above 0.
        detach_retained: whether only the forget set's states are moved by it.
        views: forward passes, the first the step's own, the others with dropout.
        weight: what it is multiplied by.

    Raises:
        ValueError: for numbers out of range.
    """

    streams: ClassVar[tuple[Stream, ...]] = ("forget", "retain")
    needs: ClassVar[frozenset[Need]] = frozenset({"hidden_states"})
    reaches_all: ClassVar[bool] = False
    pairs_examples: ClassVar[bool] = True

    def __init__(
        self, layer: int | float, temperature: float, detach_retained: bool, views: int, weight: float
    ) -> None:
        super().__init__(weight)
        name = type(self).__name__
        self.layer = checked_layer(name, layer)
        self.temperature = positive(name, "temperature", temperature, 0.7)
        self.detach_retained = detach_retained
        self.views = whole_number(name, "views", views, least=1)

    @override
    def nothing(self, seen: Seen) -> Term:
        return self(seen)  # the other ranks wait for what this one has

    @override
    def problems(self, module: Unlearns) -> list[str]:
        return layer_problems(type(self).__name__, self.layer, module.num_layers)

    def partners(self, kept: Tensor) -> Tensor:
        """The retained vectors of every rank.

        Args:
            kept: those of this rank, ``[rows, width]``.
        """
        return of_all_ranks(kept.detach() if self.detach_retained else kept)


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
