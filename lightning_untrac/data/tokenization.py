"""Rows of text to token ids, once, in a cache on disk that is read without copying."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.tokenizers import document_start, tokenizer_fingerprint
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

CACHE_VERSION = 1
SILENT_ROWS = 20_000
"""Below this many rows tokenising takes a moment and shows no bar."""


@dataclass(frozen=True)
class TokenizationConfig:
    """How text becomes token ids.

    Attributes:
        seq2seq: source and target for an encoder-decoder (the source without special tokens, the target with EOS, as
            the paper's T5 runs), instead of one sequence for a causal model.
        max_length: most tokens of one example (of its target, for seq2seq); None for no limit.
        append_eos: end each causal document in EOS, where EOS is not what the next one begins with anyway.
    """

    seq2seq: bool = False
    max_length: int | None = None
    append_eos: bool = False


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
        num_source_examples: rows before empty ones were dropped.
        num_truncated: examples that were cut to ``max_length``.
        longest: tokens of the longest example (before any cut, source or target).
        max_token: largest token id.
    """

    def __init__(self, config: DatasetConfig, table: Any, num_source_examples: int) -> None:
        self.name = str(config.name)
        self.config = config
        self.input_ids = TokenArrays(table.column("input_ids"))
        self.labels = TokenArrays(table.column("labels"))
        self._hashes = table.column("content_hash")
        self.num_source_examples = num_source_examples
        lengths = np.asarray(table.column("num_tokens_before_cut").to_numpy())
        self.longest = int(lengths.max(initial=0))
        self.num_truncated = int(np.asarray(table.column("truncated").to_numpy()).sum())
        self.num_targets = int(np.asarray(table.column("num_targets").to_numpy()).sum())
        self.max_token = int(np.asarray(table.column("max_token").to_numpy()).max(initial=0))

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"input_ids": self.input_ids[index], "labels": self.labels[index]}

    def content_hash(self, index: int) -> str:
        """16 hexadecimal digits of the SHA-256 of the example's text: its identity across runs and subsamples."""
        return str(self._hashes[index].as_py())

    def lengths(self) -> np.ndarray:
        """Tokens of each example, to put alike ones into one batch."""
        return np.diff(self.input_ids.offsets)


class PackedBlocks:
    """The same tokens as consecutive blocks, documents after one another, nothing dropped.

    Args:
        dataset: a causal model's tokenised dataset.
        block_size: tokens of a block; the last block is as long as what is left.
    """

    def __init__(self, dataset: TokenizedDataset, block_size: int) -> None:
        self.dataset, self.block_size = dataset, block_size
        self.name = dataset.name

    def __len__(self) -> int:
        # A last block of a single token would have no target: nothing is predicted from nothing.
        full, rest = divmod(self.dataset.input_ids.num_tokens, self.block_size)
        return full + (rest > 1)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        start = index * self.block_size
        stop = min(start + self.block_size, self.dataset.input_ids.num_tokens)
        return {
            "input_ids": self.dataset.input_ids.slice(start, stop),
            "labels": self.dataset.labels.slice(start, stop),
        }

    def lengths(self) -> np.ndarray:
        """Tokens of each block."""
        total = self.dataset.input_ids.num_tokens
        return np.minimum(self.block_size, total - self.block_size * np.arange(len(self)))


def tokenize(
    config: DatasetConfig,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    how: TokenizationConfig,
    cache_folder: Path,
) -> TokenizedDataset:
    """Tokenise a dataset once; a second call reads the cache.

    Args:
        config: the dataset, for its name, separator and subsample.
        rows: strings in ``text`` or ``prompt`` and ``target``.
        tokenizer: any of transformers'.
        how: see :class:`TokenizationConfig`.
        cache_folder: where the Arrow files lie, each named by a digest of the text, the tokenizer and ``how``.

    Raises:
        ConfigurationError: if seq2seq rows have no prompt, or no example has a target token.
    """
    if how.seq2seq and "prompt" not in rows.column_names:
        raise ConfigurationError(
            [f"{config.name}: an encoder-decoder model needs `prompt` and `target` columns, not `text` alone"]
        )
    if config.num_examples is not None and len(rows) > config.num_examples:
        chosen = np.random.default_rng(config.sample_seed).permutation(len(rows))[: config.num_examples]
        rows = rows.select(np.sort(chosen))
    encode = _Encoder(tokenizer, how, config.separator)
    identity = [CACHE_VERSION, tokenizer_fingerprint(tokenizer), asdict(how), config.separator, _digest(rows)]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    cache_folder.mkdir(parents=True, exist_ok=True)
    with _progress_bars(len(rows) > SILENT_ROWS):
        tokens = rows.map(
            encode,
            batched=True,
            remove_columns=rows.column_names,
            cache_file_name=str(cache_folder / f"{key}.arrow"),
            new_fingerprint=key,
            desc=f"tokenising {config.name}",
        )
    dataset = TokenizedDataset(config, tokens.data, num_source_examples=len(rows))
    if len(dataset) == 0 or dataset.num_targets == 0:
        raise ConfigurationError([f"{config.name}: has no target token at all; is the text (or every target) empty?"])
    return dataset


class _Encoder:
    """A batch of rows to token ids; a class, because ``datasets`` wants one callable."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig, separator: str) -> None:
        self.tokenizer, self.how, self.separator = tokenizer, how, separator
        self.start = None if how.seq2seq else document_start(tokenizer)
        self.end = [tokenizer.eos_token_id] if how.seq2seq or how.append_eos else []
        if not how.seq2seq and self.start == tokenizer.eos_token_id:
            self.end = []  # the next document's first token already says that this one has ended

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        texts = batch.get("text")
        if texts is not None:
            prompts, targets = [""] * len(texts), texts
            pairs: list[tuple[list[int], list[int]]] = [([], ids) for ids in self._ids(texts)]
        else:
            prompts, targets = batch["prompt"], batch["target"]
            separator = "" if self.how.seq2seq else self.separator
            pairs = list(zip(self._ids(prompts), self._ids([separator + t for t in targets]), strict=True))
        out: dict[str, list[Any]] = {
            key: []
            for key in (
                *("input_ids", "labels", "content_hash", "num_tokens_before_cut", "truncated", "num_targets"),
                "max_token",
            )
        }
        for prompt, target, (prompt_ids, target_ids) in zip(prompts, targets, pairs, strict=True):
            if not target:
                continue
            input_ids, labels, before = self._seq2seq(prompt_ids, target_ids) if self.how.seq2seq else self._causal(
                prompt_ids, target_ids
            )
            scored = labels if self.how.seq2seq else labels[1:]
            out["input_ids"].append(np.asarray(input_ids, dtype=np.int32))
            out["labels"].append(np.asarray(labels, dtype=np.int32))
            out["content_hash"].append(content_hash(prompt, target))
            out["num_tokens_before_cut"].append(before)
            out["truncated"].append(self.how.max_length is not None and before > self.how.max_length)
            out["num_targets"].append(sum(label != IGNORE_INDEX for label in scored))
            out["max_token"].append(max([*input_ids, *labels], default=0))
        return out

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]

    def _causal(self, prompt: list[int], target: list[int]) -> tuple[list[int], list[int], int]:
        target = target + self.end
        before = 1 + len(prompt) + len(target)
        if self.how.max_length is not None and before > self.how.max_length:
            # The target is what is measured: cut the prompt's beginning first, then the target's end.
            room = self.how.max_length - 1
            target = target[:room]
            prompt = prompt[len(prompt) - (room - len(target)) :]
        assert self.start is not None
        input_ids = [self.start, *prompt, *target]
        # The first token of a text is a target only inside a packed block, where something stands before it.
        first = IGNORE_INDEX if prompt else self.start
        return input_ids, [first, *[IGNORE_INDEX] * len(prompt), *target], before

    def _seq2seq(self, prompt: list[int], target: list[int]) -> tuple[list[int], list[int], int]:
        target = target + self.end
        before = max(len(prompt), len(target))
        return prompt[: self.how.max_length], target[: self.how.max_length], before


def content_hash(prompt: str, target: str) -> str:
    """Identity of an example: 16 hexadecimal digits of the SHA-256 of its text.

    Example:
        >>> content_hash("", "a b") == content_hash("a", "b")
        False
    """
    return hashlib.sha256(f"{prompt}\x1f{target}".encode()).hexdigest()[:16]


def _digest(rows: Dataset) -> str:
    """Digest of the text itself, so that an edited file or a renamed one never meets a stale cache."""
    digest = hashlib.sha256()
    for batch in rows.iter(batch_size=1000):
        for column in sorted(batch):
            digest.update(json.dumps(batch[column]).encode())
    return digest.hexdigest()


@contextmanager
def _progress_bars(show: bool) -> Iterator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    if not show:
        disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
