"""Which examples make up which batch: decided by a seed alone, whatever ran before and however many ranks there are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from torch.utils.data import Sampler

FILLER = -1
"""Index of a row that counts nowhere; it keeps all ranks at the same number of forward passes."""


class EpisodeBatchSampler(Sampler[list[int]]):
    """Batches of an episode, as indices into the concatenation of its datasets.

    Every optimizer step takes the next ``batch_size * accumulation * num_replicas`` examples of a seeded permutation
    (fewer at the end of a pass, never across two passes) and cuts them into micro-batches and ranks. The same
    effective batch therefore holds the same examples however it is cut; a share that comes out empty is filler.

    The order is drawn from ``seed`` and the pass alone, not from the datasets' names: two copies of a corpus under two
    names are gone through alike.

    Lightning tells samplers which epoch begins (``set_epoch`` of a batch sampler's ``sampler``, which this is itself).
    Where every epoch goes over the same mixture, ``follows_epochs`` gives each an order of its own.

    Args:
        sizes: examples of each dataset.
        batch_size: examples of a micro-batch on one rank.
        steps: optimizer steps; None for ``passes`` over the data.
        passes: passes over the data where ``steps`` is None.
        least_steps: ``passes`` are at least so many steps, or as many as there are examples where those are fewer.
        extra_steps: steps that come after those, on further examples of the same order.
        accumulation: micro-batches of an optimizer step.
        seed: seed of the order.
        pass_index: how many epochs over the same mixture came before, each of as many passes as this one.
        follows_epochs: whether ``set_epoch`` sets ``pass_index``.
        shares: relative weight of each dataset in a pass; None for its size. A dataset whose weight asks for more
            examples than it has gives each of them once before any of them twice.
        left_out: indices of datasets whose examples are taken out of the batches. The rest of a batch stays what it is,
            so that a run without a dataset differs from one with it in nothing else; a batch that has no rest is
            filled with examples of the other datasets.
        rank: this rank among the ``num_replicas`` that each take a part of the batch.
        num_replicas: data-parallel ranks.

    Raises:
        ValueError: if there are no examples, or ``steps`` and ``passes`` come to no step at all.

    Example:
        >>> [sorted(b) for b in EpisodeBatchSampler([3], batch_size=2, seed=0)]
        [[0, 2], [1]]
        >>> halves = [list(EpisodeBatchSampler([3], batch_size=1, rank=r, num_replicas=2)) for r in (0, 1)]
        >>> halves
        [[[2], [1]], [[0], [-1]]]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        batch_size: int,
        steps: int | None = None,
        passes: float = 1.0,
        least_steps: int = 1,
        extra_steps: int = 0,
        accumulation: int = 1,
        seed: int = 0,
        pass_index: int = 0,
        follows_epochs: bool = False,
        shares: Sequence[float] | None = None,
        left_out: Sequence[int] = (),
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self.sizes, self.shares = list(sizes), shares
        self.batch_size, self.accumulation = batch_size, accumulation
        self.seed, self.pass_index, self.follows_epochs = seed, pass_index, follows_epochs
        self.rank, self.num_replicas = rank, num_replicas
        self.effective_batch_size = batch_size * accumulation * num_replicas
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self._stays = ~np.isin(owners, list(left_out))
        total = sum(self.sizes)
        self.steps_per_pass = steps_per_pass = math.ceil(total / self.effective_batch_size)
        if steps is None:
            # ceil of each full pass plus the last fraction, because batches do not cross passes
            whole, part = divmod(passes, 1)
            steps = int(whole) * steps_per_pass + math.ceil(round(part * total, 6) / self.effective_batch_size)
            steps = max(steps, min(least_steps, total)) if steps else 0
        remaining = int(self._stays.sum())
        if remaining < 1 or steps < 1:
            raise ValueError(
                f"an episode needs examples and steps, but there are {remaining} examples and {steps} steps"
            )
        self.num_steps = steps + extra_steps
        self._passes = math.ceil(self.num_steps / steps_per_pass)
        self.start_batch = 0

    @property
    def sampler(self) -> EpisodeBatchSampler:
        """Itself: where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go on to the order of ``epoch``, if this sampler follows epochs."""
        if self.follows_epochs:
            self.pass_index = epoch

    def __len__(self) -> int:
        return self.num_steps * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        start, self.start_batch = self.start_batch, 0
        yield from islice(self._batches(), start, None)

    def _batches(self) -> Iterator[list[int]]:
        for step_examples in self.steps():
            yield from self.cut(step_examples)

    def cut(self, step_examples: np.ndarray, times: int = 1) -> Iterator[list[int]]:
        """This rank's share of each micro-batch of a step; filler where it comes out empty.

        Args:
            step_examples: indices of the whole effective batch.
            times: how many times as large as this sampler's own effective batch it may be.
        """
        width = self.batch_size * self.num_replicas * times
        for micro in range(self.accumulation):
            share = step_examples[micro * width : (micro + 1) * width][self.rank :: self.num_replicas]
            yield share.tolist() or [FILLER]

    def steps(self) -> Iterator[np.ndarray]:
        """The examples of each optimizer step, over all micro-batches and ranks."""
        done, pass_index = 0, self.pass_index * self._passes
        while done < self.num_steps:
            order = self._one_pass(pass_index)
            for start in range(0, len(order), self.effective_batch_size):
                if done == self.num_steps:
                    return
                examples = order[start : start + self.effective_batch_size]
                yield examples if self._stays.all() else self._rest(examples, done)
                done += 1
            pass_index += 1

    def _rest(self, examples: np.ndarray, step: int) -> np.ndarray:
        rest = examples[self._stays[examples]]
        if len(rest):
            return rest
        generator = np.random.default_rng([self.seed, self.pass_index, step])
        others = np.flatnonzero(self._stays)
        return generator.choice(others, size=min(len(examples), len(others)), replace=False)

    def _one_pass(self, pass_index: int) -> np.ndarray:
        return mixture_order(self.sizes, self.shares, np.random.default_rng([self.seed, pass_index]))


def mixture_order(sizes: Sequence[int], shares: Sequence[float] | None, generator: np.random.Generator) -> np.ndarray:
    """One pass over several datasets, as indices into their concatenation.

    Args:
        sizes: examples of each dataset.
        shares: relative weight of each; None for its size.
        generator: draws the order.
    """
    total = sum(sizes)
    if shares is None:
        return generator.permutation(total)
    starts = np.cumsum([0, *sizes[:-1]])
    counts = examples_by_share(shares, total)
    drawn = []
    for start, size, count in zip(starts, sizes, counts, strict=True):
        repeats = [generator.permutation(size) for _ in range(math.ceil(count / size))]
        drawn.append(start + np.concatenate([*repeats, np.empty(0, dtype=np.int64)])[:count].astype(np.int64))
    return generator.permutation(np.concatenate(drawn))


def examples_by_share(shares: Sequence[float], total: int) -> list[int]:
    """Split ``total`` examples by ``shares``, to the nearest whole example (largest remainders first).

    Example:
        >>> examples_by_share([1, 1, 2], 10)
        [3, 2, 5]
    """
    weights = np.asarray(shares, dtype=np.float64)
    exact = weights / weights.sum() * total
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    return [int(count) for count in counts]


class EvaluationBatchSampler(Sampler[list[int]]):
    """See :func:`evaluation_batches`; holds one array of indices, whatever the number of batches.

    Args:
        order: every index, in the order in which they are measured.
        batch_size: examples of a batch on one rank.
        rank: this rank.
        num_replicas: data-parallel ranks.
    """

    def __init__(self, order: np.ndarray, batch_size: int, rank: int = 0, num_replicas: int = 1) -> None:
        self.order, self.batch_size = order, batch_size
        self.rank, self.num_replicas = rank, num_replicas

    def __len__(self) -> int:
        return math.ceil(math.ceil(len(self.order) / self.batch_size) / self.num_replicas)

    def __iter__(self) -> Iterator[list[int]]:
        for turn in range(len(self)):
            start = (turn * self.num_replicas + self.rank) * self.batch_size
            yield self.order[start : start + self.batch_size].tolist() or [FILLER]


def evaluation_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, rank: int = 0, num_replicas: int = 1
) -> EvaluationBatchSampler:
    """Every example exactly once over all ranks, alike lengths together, equally many batches on each rank.

    Unlike torch's ``DistributedSampler``, which repeats examples to make the ranks even, the filler counts nowhere.

    Args:
        lengths: tokens of each example.
        batch_size: examples of a batch on one rank.
        rank: this rank.
        num_replicas: data-parallel ranks.

    Example:
        >>> list(evaluation_batches([5, 9, 5], batch_size=2))
        [[1, 0], [2]]
        >>> list(evaluation_batches([5, 9, 5], batch_size=2, rank=1, num_replicas=2))
        [[2]]
        >>> list(evaluation_batches([5], batch_size=2, rank=1, num_replicas=2))
        [[-1]]
    """
    # Longest first: if a batch does not fit the memory, it is the first one that says so.
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return EvaluationBatchSampler(order, batch_size, rank, num_replicas)
