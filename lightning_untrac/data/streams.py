"""The streams of a step: the examples that it unlearns, those that are to stay, and how many targets all have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.sampling import EpisodeBatchSampler, mixture_order

STREAM, SAMPLE = 1, 2
"""Third words of a retained order's seed, which keep its draws apart from each other and from the unlearned order's."""


OF_RETAINED = ("retain", "retain_alternative")
"""Streams of what is to stay, row for row beside each other."""


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

    def beside(self, steps: Iterator[np.ndarray], times: int) -> Iterator[np.ndarray]:
        """What each step retains.

        Args:
            steps: indices of the examples that each unlearns.
            times: retained examples for each of them.
        """
        return self.takes(len(step) * times for step in steps)

    def sample(self, count: int) -> np.ndarray:
        """``count`` indices drawn apart from the stream, ordered; no more than a pass has."""
        return np.sort(self._one_pass(0, SAMPLE)[:count])

    def _one_pass(self, pass_index: int, use: int) -> np.ndarray:
        return mixture_order(self.sizes, self.shares, np.random.default_rng([self.seed, pass_index, use]))


@dataclass(frozen=True)
class StepShare:
    """One rank's micro-batch of every stream.

    Attributes:
        indices: of each stream's examples.
        tokens: target tokens of each stream in the step's whole effective batch, over all micro-batches and ranks.
        sequences: and its examples with a target.
    """

    indices: dict[str, list[int]]
    tokens: dict[str, int]
    sequences: dict[str, int]


@dataclass(frozen=True)
class StreamRows:
    """The rows that a :class:`StepShare` points to."""

    rows: dict[str, list[dict[str, Any]]]
    share: StepShare


class StreamExamples(Dataset[StreamRows]):
    """The examples of each stream.

    Args:
        streams: by name, ``forget`` first.
    """

    def __init__(self, streams: dict[str, Concatenation]) -> None:
        self.streams = streams

    def __len__(self) -> int:
        return len(self.streams["forget"])

    def __getitems__(self, share: StepShare) -> StreamRows:
        """A whole micro-batch: torch hands over what the batch sampler yields."""
        rows = {name: [self.streams[name][index] for index in found] for name, found in share.indices.items()}
        return StreamRows(rows, share)


class StreamBatchSampler(Sampler[Any]):
    """An episode's batches as they are without it, each with what the other streams have beside it.

    A step has ``times`` as many retained as unlearned examples, and all are cut into micro-batches and ranks alike, so
    that the same effective batches come out however they are cut. The terms of an objective are means over whole
    effective batches, and one sum of gradients can hold them only if their weights are known before the first
    micro-batch runs: so each says how many targets its whole step has.

    Args:
        forget: the batches to unlearn.
        examples: what the indices point to.
        order: of the retained examples, where there are any.
        times: retained examples for each unlearned one.
    """

    def __init__(
        self, forget: EpisodeBatchSampler, examples: StreamExamples, order: RetainedOrder | None = None, times: int = 1
    ) -> None:
        self.forget, self.order, self.times = forget, order, times
        self.targets = {name: stream.target_counts() for name, stream in examples.streams.items()}
        self.start_batch = 0

    @property
    def sampler(self) -> EpisodeBatchSampler:
        """Where Lightning looks for ``set_epoch``."""
        return self.forget

    def __len__(self) -> int:
        return len(self.forget)

    def __iter__(self) -> Iterator[Any]:
        start, self.start_batch = self.start_batch, 0
        skipped, rest = divmod(start, self.forget.accumulation)
        return islice(self._batches(skipped), rest, None)

    def _batches(self, skipped: int) -> Iterator[StepShare]:
        for step in islice(self._steps(), skipped, None):
            yield from self.shares(step)

    def shares(self, step: Mapping[str, np.ndarray]) -> Iterator[StepShare]:
        """This rank's micro-batches of one step.

        Args:
            step: indices of each stream's examples in the whole effective batch.
        """
        tokens = {name: int(self.targets[name][found].sum()) for name, found in step.items()}
        sequences = {name: int((self.targets[name][found] > 0).sum()) for name, found in step.items()}
        shares = {name: self.forget.cut(found, self._times(name)) for name, found in step.items()}
        for parts in zip(*shares.values(), strict=True):
            yield StepShare(dict(zip(shares, parts, strict=True)), tokens, sequences)

    def _steps(self) -> Iterator[dict[str, np.ndarray]]:
        # Row for row: an alternative is another answer to the prompt beside it.
        beside = [name for name in self.targets if name not in OF_RETAINED]
        kept = [name for name in self.targets if name in OF_RETAINED]
        if self.order is None:
            yield from (dict.fromkeys(beside, step) for step in self.forget.steps())
            return
        retained_ones = self.order.beside(self.forget.steps(), self.times)
        for step, retained in zip(self.forget.steps(), retained_ones, strict=True):
            yield {**dict.fromkeys(beside, step), **dict.fromkeys(kept, retained)}

    def _times(self, stream: str) -> int:
        return self.times if stream in OF_RETAINED else 1


@dataclass
class StreamCollator:
    """One batch a stream; the others stand in the forget batch under their names.

    Args:
        collator: makes each of them.
    """

    collator: Collator

    def __call__(self, rows: StreamRows) -> LanguageBatch:
        """Stack the rows of every stream, and say how many targets their whole effective batches have."""
        batches = {name: self.collator(found) for name, found in rows.rows.items()}
        for name, batch in batches.items():
            batch["step_tokens"] = rows.share.tokens[name]
            batch["step_sequences"] = rows.share.sequences[name]
        forget = batches.pop("forget")
        forget.update(batches)  # type: ignore[typeddict-item]
        return forget
