"""Token ids on disk, read in place: rows of a memory-mapped table, or blocks across them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lightning_untrac.data.coin_flip import Flipped
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.marks import Marks
from lightning_untrac.functional import IGNORE_INDEX


class TokenArrays:
    """One list column of an Arrow table as a flat array and offsets, memory-mapped, without a copy.

    Args:
        column: a chunked array of lists of integers.
    """

    def __init__(self, column: Any) -> None:
        self._values, offsets, base = [], [np.zeros(1, dtype=np.int64)], 0
        for chunk in column.chunks:
            chunk_offsets = chunk.offsets.to_numpy()
            self._values.append(chunk.values.to_numpy()[chunk_offsets[0] : chunk_offsets[-1]])
            offsets.append(chunk_offsets[1:].astype(np.int64) - chunk_offsets[0] + base)
            base += int(chunk_offsets[-1] - chunk_offsets[0])
        self.offsets = np.concatenate(offsets)
        self._chunk_ends = np.cumsum([len(values) for values in self._values], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> int:
        """All tokens of all rows."""
        return int(self.offsets[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        return self.slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def slice(self, start: int, stop: int) -> np.ndarray:
        """Tokens ``start`` to ``stop`` of the concatenation of all rows."""
        chunk = int(np.searchsorted(self._chunk_ends, start, side="right"))
        parts = []
        while start < stop:
            begin = int(self._chunk_ends[chunk]) - len(self._values[chunk])
            end = min(stop, int(self._chunk_ends[chunk]))
            parts.append(self._values[chunk][start - begin : end - begin])
            start, chunk = end, chunk + 1
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)


class TokenizedDataset:
    """A named dataset's examples as token ids; an indexable of ``{"input_ids", "labels"}`` int32 arrays.

    Attributes:
        name: the dataset's name.
        config: where it came from.
        fingerprint: digest of its texts, of the tokenizer and of how it was tokenised.
        num_source_examples: rows before empty ones were dropped.
        num_truncated: examples that were cut to ``max_length``.
        longest: tokens of the longest example before any cut (its source or its target, whichever is longer).
        longest_source_after_cut: tokens of the longest text (or source) after cuts.
        longest_target_after_cut: the same of the longest target, which is the text itself for a causal model.
        max_token: largest token id.
        flipped: how it came out of a coin flip, of a side of one.
        marks: what is known of each example beside its text.
        alternative: other answers to the same prompts, row for row, where the dataset has any.
        other_answers: further answers that are only measured, by the setting that names their column.
    """

    flipped: Flipped | None = None
    marks: Marks = Marks()
    alternative: TokenizedDataset | None = None
    other_answers: Mapping[str, OtherAnswers] = MappingProxyType({})

    def __init__(self, config: DatasetConfig, table: Any, num_source_examples: int, fingerprint: str) -> None:
        import pyarrow.compute as pc

        self.name = str(config.name)
        self.fingerprint = fingerprint
        self.config = config
        self.input_ids = TokenArrays(table.column("input_ids"))
        self.labels = TokenArrays(table.column("labels"))
        if np.array_equal(self.input_ids.offsets, self.labels.offsets):  # a causal model's: one array for both
            self.labels.offsets = self.input_ids.offsets
        self._hashes = table.column("content_hash")
        self.num_source_examples = num_source_examples
        self.longest = int(pc.max(table.column("num_tokens_before_cut")).as_py() or 0)
        self.longest_source_after_cut = int(np.diff(self.input_ids.offsets).max(initial=0))
        self.longest_target_after_cut = int(np.diff(self.labels.offsets).max(initial=0))
        self._truncated = table.column("truncated")
        self.num_truncated = int(pc.sum(self._truncated).as_py() or 0)
        self._targets = table.column("num_targets")
        self.num_targets = int(pc.sum(self._targets).as_py() or 0)
        self.max_token = int(pc.max(table.column("max_token")).as_py() or 0)

    @property
    def longest_after_cut(self) -> int:
        """Tokens of the longest text, or of the longest source or target, after cuts."""
        return max(self.longest_source_after_cut, self.longest_target_after_cut)

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"input_ids": self.input_ids[index], "labels": self.labels[index]}

    def content_hash(self, index: int) -> str:
        """16 hexadecimal digits of the SHA-256 of the example's text: its identity across runs and subsamples."""
        return str(self._hashes[index].as_py())

    def content_hashes(self, indices: np.ndarray) -> Any:
        """The :meth:`content_hash` of many examples, as an Arrow array."""
        import pyarrow as pa

        return self._hashes.take(pa.array(indices)).combine_chunks()

    def distinct_hashes(self) -> Any:
        """The :meth:`content_hash` of each text once, as an Arrow array."""
        return self._hashes.unique()

    def in_training(self) -> np.ndarray | None:
        """Indices of the examples, each as many times as it stands in training; None where each does once."""
        return None if self.marks.copies is None else np.repeat(np.arange(len(self)), self.marks.copies)

    def lengths(self) -> np.ndarray:
        """Tokens of each example, to put alike ones into one batch."""
        return np.diff(self.input_ids.offsets)

    def target_counts(self) -> np.ndarray:
        """Target tokens of each example, ``[examples]`` int64, as they were counted when it was tokenised."""
        return self._targets.to_numpy().astype(np.int64)

    def is_truncated(self) -> np.ndarray:
        """Which examples were cut, ``[examples]`` bool."""
        return self._truncated.to_numpy().astype(bool)


class OtherAnswers:
    """Further answers to the prompts of a dataset, any number to each, by the index of its example.

    Args:
        examples: prompts with further answers, those to one prompt after one another.
        counts: how many each example has, ``[examples]``; one without any keeps its index.
        indices: of each example its place in ``counts``; None where that is its own index.
    """

    def __init__(self, examples: TokenizedDataset, counts: np.ndarray, indices: np.ndarray | None = None) -> None:
        self.examples = examples
        self._counts, self._ends, self._indices = counts, np.cumsum(counts), indices

    def __getitem__(self, index: int) -> list[dict[str, np.ndarray]]:
        """The prompt of an example with each of its further answers."""
        place = index if self._indices is None else int(self._indices[index])
        end = int(self._ends[place])
        return [self.examples[row] for row in range(end - int(self._counts[place]), end)]

    def of(self, indices: np.ndarray) -> OtherAnswers:
        """Those of some examples."""
        chosen = indices if self._indices is None else self._indices[indices]
        return OtherAnswers(self.examples, self._counts, chosen)


class PackedBlocks:
    """The same tokens as consecutive blocks, documents after one another: every token is in exactly one block.

    Where a single token would be left over at the end, from which nothing can be predicted, the block before it gives
    one more to it.

    Args:
        dataset: a causal model's tokenised dataset.
        block_size: tokens of a block, at least 3; the last block (or the last two) may be shorter.
    """

    def __init__(self, dataset: TokenizedDataset, block_size: int) -> None:
        self.dataset, self.block_size = dataset, block_size
        self.name = dataset.name
        total = dataset.input_ids.num_tokens
        self._ends = np.append(np.arange(block_size, total, block_size, dtype=np.int64), total)
        if len(self._ends) > 1 and total % block_size == 1:
            self._ends[-2] -= 1

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        start, stop = (int(self._ends[index - 1]) if index else 0), int(self._ends[index])
        return {
            "input_ids": self.dataset.input_ids.slice(start, stop),
            "labels": self.dataset.labels.slice(start, stop),
        }

    def lengths(self) -> np.ndarray:
        """Tokens of each block."""
        return np.diff(self._ends, prepend=0)

    def target_counts(self) -> np.ndarray:
        """Target tokens of each block, ``[blocks]`` int64; nothing predicts a block's first token."""
        starts = np.append(0, self._ends[:-1])
        counts = np.empty(len(self._ends), dtype=np.int64)
        for index, (start, stop) in enumerate(zip(starts.tolist(), self._ends.tolist(), strict=True)):
            counts[index] = np.count_nonzero(self.dataset.labels.slice(start + 1, stop) != IGNORE_INDEX)
        return counts
