"""Work on a list that data-parallel ranks share out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

One = TypeVar("One")
Other = TypeVar("Other")


def shared_out(
    items: Sequence[One], work: Callable[[Sequence[One]], list[Other]], rank: int = 0, ranks: int = 1
) -> list[Other]:
    """What comes of each item, on every rank, where each rank works on its share.

    Args:
        items: the same on every rank.
        work: gives one result an item, in order.
        rank: this one.
        ranks: how many share; 1 for all of it here.

    Example:
        >>> shared_out([1, 2, 3], lambda part: [2 * one for one in part])
        [2, 4, 6]
    """
    if ranks == 1:
        return work(items) if items else []
    mine = items[rank::ranks]
    every: list[Any] = [None] * ranks
    torch.distributed.all_gather_object(every, work(mine) if mine else [])
    return [every[index % ranks][index // ranks] for index in range(len(items))]
