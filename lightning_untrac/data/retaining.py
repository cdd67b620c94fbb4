"""A second stream of batches: beside the examples that a step unlearns, examples that are to stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.sampling import EpisodeBatchSampler, mixture_order
from lightning_untrac.functional import IGNORE_INDEX

STREAM, SAMPLE = 1, 2
"""Third words of a retained order's seed, which keep its draws apart from each other and from the unlearned order's."""


class RetainedOrder:
    """The order of the examples that an episode is to keep: endless, and drawn from the episode's seed alone.

    It goes through the mixture pass after pass, each in a new order, and takes no notice of where a pass ends: in a
    step that asks for more examples than there are, some come twice.

    Args:
        sizes: examples of each retained dataset.
        shares: relative weight of each in a pass; None for its size.
        seed: of the episode.

    Example:
        >>> order = RetainedOrder([3], None, seed=0)
        >>> [sorted(take.tolist()) for take in islice(order.takes(iter([3, 2, 1])), 3)]
        [[0, 1, 2], [0, 1], [2]]
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float] | None, seed: int) -> None:
        if not sum(sizes):
            raise ValueError("there is nothing to retain: expected at least one example of another corpus")
        self.sizes, self.shares, self.seed = list(sizes), shares, seed

    def takes(self, counts: Iterator[int]) -> Iterator[np.ndarray]:
        """The next so many indices into the concatenation of the retained datasets, for each of ``counts``."""
        left, pass_index = np.empty(0, dtype=np.int64), 0
        for count in counts:
            while len(left) < count:
                left = np.concatenate([left, self._one_pass(pass_index, STREAM)])
                pass_index += 1
            yield left[:count]
            left = left[count:]

    def sample(self, count: int) -> np.ndarray:
        """``count`` indices drawn apart from the stream, ordered; no more than a pass has."""
        return np.sort(self._one_pass(0, SAMPLE)[:count])

    def _one_pass(self, pass_index: int, use: int) -> np.ndarray:
        return mixture_order(self.sizes, self.shares, np.random.default_rng([self.seed, pass_index, use]))


@dataclass(frozen=True)
class PairedIndices:
    """One rank's micro-batch of both streams.

    Attributes:
        unlearned: indices of examples to unlearn.
        retained: indices of examples to keep.
        unlearned_targets: target tokens of the step's whole effective batch of the first.
        retained_targets: and of the second.
    """

    unlearned: list[int]
    retained: list[int]
    unlearned_targets: int
    retained_targets: int


@dataclass(frozen=True)
class PairedRows:
    """The rows that :class:`PairedIndices` point to; ``indices`` has the totals."""

    unlearned: list[dict[str, Any]]
    retained: list[dict[str, Any]]
    indices: PairedIndices


class PairedExamples(Dataset[PairedRows]):
    """Examples to unlearn and examples to keep.

    Args:
        unlearned: the first.
        retained: the second.
    """

    def __init__(self, unlearned: Concatenation, retained: Concatenation) -> None:
        self.unlearned, self.retained = unlearned, retained

    def __len__(self) -> int:
        return len(self.unlearned)

    def __getitems__(self, indices: PairedIndices) -> PairedRows:
        """A whole micro-batch: torch hands over what the batch sampler yields."""
        return PairedRows(
            [self.unlearned[index] for index in indices.unlearned],
            [self.retained[index] for index in indices.retained],
            indices,
        )


class PairedBatchSampler(Sampler[Any]):
    """An episode's batches as they are without it, each with retained examples beside it.

    A step has ``times`` as many retained as unlearned examples, and both are cut into micro-batches and ranks alike, so
    that the same effective batches come out however they are cut. Their target tokens are counted here, before the
    first micro-batch runs: the two terms of an objective are two means over whole effective batches, and one sum of
    gradients can hold both only if their weights are known beforehand.

    Args:
        unlearned: the batches to unlearn.
        examples: what both kinds of indices point to.
        order: of the retained examples.
        times: retained examples for each unlearned one.
        seq2seq: whether the first label is a target too.
    """

    def __init__(
        self,
        unlearned: EpisodeBatchSampler,
        examples: PairedExamples,
        order: RetainedOrder,
        times: int = 1,
        seq2seq: bool = False,
    ) -> None:
        self.unlearned, self.examples, self.order, self.times = unlearned, examples, order, times
        self.first_label = 0 if seq2seq else 1
        self.start_batch = 0

    @property
    def sampler(self) -> EpisodeBatchSampler:
        """Where Lightning looks for ``set_epoch``."""
        return self.unlearned

    def __len__(self) -> int:
        return len(self.unlearned)

    def __iter__(self) -> Iterator[Any]:
        start, self.start_batch = self.start_batch, 0
        skipped, rest = divmod(start, self.unlearned.accumulation)
        return islice(self._batches(skipped), rest, None)

    def _batches(self, skipped: int) -> Iterator[PairedIndices]:
        counts = (len(step) * self.times for step in self.unlearned.steps())
        steps = zip(self.unlearned.steps(), self.order.takes(counts), strict=True)
        for unlearned, retained in islice(steps, skipped, None):
            targets = self._targets(self.examples.unlearned, unlearned), self._targets(self.examples.retained, retained)
            shares = self.unlearned.cut(unlearned), self.unlearned.cut(retained, self.times)
            for pair in zip(*shares, strict=True):
                yield PairedIndices(*pair, *targets)

    def _targets(self, examples: Concatenation, indices: np.ndarray) -> int:
        labels = (examples[int(index)]["labels"][self.first_label :] for index in indices)
        return sum(int((row != IGNORE_INDEX).sum()) for row in labels)


@dataclass
class PairedCollator:
    """Two batches in one: the retained examples stand in the unlearned ones' ``retained``.

    Args:
        collator: makes each of them.
    """

    collator: Collator

    def __call__(self, rows: PairedRows) -> LanguageBatch:
        """Stack both kinds of rows, and say how many target tokens their whole effective batches have."""
        batch, retained = self.collator(rows.unlearned), self.collator(rows.retained)
        batch["step_targets"] = rows.indices.unlearned_targets
        retained["step_targets"] = rows.indices.retained_targets
        batch["retained"] = retained
        return batch
