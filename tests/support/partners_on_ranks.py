"""Anchors and partners that several ranks share, of unlike numbers, and the gradient that DDP would make of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed as dist

from lightning_untrac.objectives import Contrastive, DeepCUT, Outputs, Seen
from lightning_untrac.objectives.partners import of_all_ranks

WIDTH, CLASSES = 4, 3
SHARES = {
    "unlike": ([3, 1], [2, 5]),
    "no anchors on one": ([4, 0], [3, 3]),
    "no partners on one": ([2, 2], [0, 5]),
    "nothing on one": ([4, 0], [5, 0]),
}
"""Forget and retained rows of each rank."""

TERMS = {
    "deepcut": lambda: DeepCUT(views=1),
    "deepcut, all": lambda: DeepCUT(views=1, denominator="all"),
    "deepcut, held": lambda: DeepCUT(views=1, detach_retained=True),
    "contrastive": lambda: Contrastive(layer=1.0, detach_retained=False),
}


def rows(count: int, skip: int, weight: torch.Tensor, seed: int) -> Outputs:
    """Outputs of some rows of a stream by a model of one matrix: a sequence of one place each."""
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(20, 1, WIDTH, generator=random, dtype=torch.float64)[skip : skip + count]
    classes = (torch.arange(20) * 7 // 3 % CLASSES)[skip : skip + count, None]
    filler = count == 0  # as a share of a step that came out empty is: one row without a target
    if filler:
        inputs, classes = torch.full((1, 1, WIDTH), 9.0, dtype=torch.float64), torch.full((1, 1), -100)
    states = inputs @ weight
    logits = states @ torch.ones(WIDTH, CLASSES, dtype=torch.float64)
    return Outputs(logits, classes, {"has_targets": not filler}, hidden_states=(inputs, states))


def gradient(term: Any, forget: list[int], retain: list[int], rank: int | None) -> tuple[float, torch.Tensor]:
    """A step's value and gradient: of a rank as strategies see it, or of one process that has all."""
    weight = torch.linspace(-1, 1, WIDTH * WIDTH, dtype=torch.float64).reshape(WIDTH, WIDTH).sin().requires_grad_()
    mine = slice(None) if rank is None else slice(rank, rank + 1)
    skips = (0, 0) if rank is None else (sum(forget[:rank]), sum(retain[:rank]))
    seen = Seen(rows(sum(forget[mine]), skips[0], weight, 1), rows(sum(retain[mine]), skips[1], weight, 2))
    empty = not (seen.forget.has_targets and seen.of("retain").has_targets)
    found = term.nothing(seen) if empty else term(seen)
    pieces = 1 if rank is None else len(forget)
    value = found.total * pieces / sum(forget)  # what StepTraining.weighted does
    value.backward()
    assert weight.grad is not None
    return value.item(), weight.grad


def run(folder: str) -> None:
    """Every term and share on this rank; what DDP makes of the gradients, and of the rows."""
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    found: dict[Any, Any] = {}
    for shares, (forget, retain) in SHARES.items():
        for name, make in TERMS.items():
            value, weight = gradient(make(), forget, retain, rank)
            both = torch.cat([torch.tensor([value], dtype=torch.float64), weight.flatten()])
            dist.all_reduce(both)
            found[name, shares] = both / ranks
        mine = torch.arange(sum(retain))[sum(retain[:rank]) : sum(retain[: rank + 1])]
        found[shares] = of_all_ranks(mine)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
