"""Rows of text to token ids, once, in a cache on disk that is read without copying."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.progress import progress_bars
from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.data.tokenizers import document_start, tokenizer_fingerprint
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

CACHE_VERSION = 2
"""Part of the cache's key: raise it when the same text would be encoded differently."""

CACHE_PREFIX = "tokens-"
SILENT_ROWS = 20_000
"""Below this many rows tokenising takes a moment and shows no bar."""

_COLUMNS: dict[str, tuple[str, bool]] = {
    "input_ids": ("int32", True),
    "labels": ("int32", True),
    "content_hash": ("string", False),
    "num_tokens_before_cut": ("int64", False),
    "truncated": ("bool", False),
    "num_targets": ("int64", False),
    "max_token": ("int64", False),
}
"""Columns of a cache file: type of the values, and whether a cell is a list of them."""


@dataclass(frozen=True)
class TokenizationConfig:
    """How text becomes token ids.

    Attributes:
        seq2seq: source and target for an encoder-decoder (the source without special tokens, the target with EOS, as
            the paper's T5 runs), instead of one sequence for a causal model.
        max_length: most tokens of one example (of its source and of its target, for seq2seq); None for no limit.
        append_eos: end each causal document in EOS, where EOS is not what the next one begins with anyway.
    """

    seq2seq: bool = False
    max_length: int | None = None
    append_eos: bool = False


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
        ConfigurationError: if seq2seq rows have no prompt, if no example has a target token, or if the folder
            can't be written.
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
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with progress_bars(len(rows) > SILENT_ROWS):
            tokens = rows.map(
                encode,
                batched=True,
                remove_columns=rows.column_names,
                features=_features(),
                cache_file_name=str(cache_folder / f"{CACHE_PREFIX}{key}.arrow"),
                new_fingerprint=key,
                desc=f"tokenising {config.name}",
            )
    except OSError as error:
        raise ConfigurationError(
            [f"data.cache_folder: can't write token ids to {cache_folder} ({error}); make room or name another"]
        ) from error
    dataset = TokenizedDataset(config, tokens.data, num_source_examples=len(rows), fingerprint=key)
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
        out: dict[str, list[Any]] = {key: [] for key in _COLUMNS}
        for prompt, target, (prompt_ids, target_ids) in zip(prompts, targets, pairs, strict=True):
            if not target or not target_ids:  # nothing to predict; what is dropped is counted and reported
                continue
            encoded = self._seq2seq if self.how.seq2seq else self._causal
            input_ids, labels, num_targets, before = encoded(prompt_ids, target_ids)
            out["input_ids"].append(np.asarray(input_ids, dtype=np.int32))
            out["labels"].append(np.asarray(labels, dtype=np.int32))
            out["content_hash"].append(content_hash(prompt, target))
            out["num_tokens_before_cut"].append(before)
            out["truncated"].append(self.how.max_length is not None and before > self.how.max_length)
            out["num_targets"].append(num_targets)
            out["max_token"].append(max(max(input_ids, default=0), max(labels)))
        return out

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]

    def _causal(self, prompt: list[int], target: list[int]) -> tuple[list[int], list[int], int, int]:
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
        return input_ids, [first, *[IGNORE_INDEX] * len(prompt), *target], len(target), before

    def _seq2seq(self, prompt: list[int], target: list[int]) -> tuple[list[int], list[int], int, int]:
        target = target + self.end
        before = max(len(prompt), len(target))
        target = target[: self.how.max_length]
        return prompt[: self.how.max_length], target, len(target), before


def content_hash(prompt: str, target: str) -> str:
    """Identity of an example: 16 hexadecimal digits of the SHA-256 of its text.

    Example:
        >>> content_hash("", "a b") == content_hash("a", "b")
        False
    """
    return hashlib.sha256(f"{prompt}\x1f{target}".encode()).hexdigest()[:16]


def _features() -> Any:
    """Types of the cache's columns, declared because a batch whose every example is dropped shows none."""
    from datasets import Features, List, Value

    return Features({name: List(Value(kind)) if listed else Value(kind) for name, (kind, listed) in _COLUMNS.items()})


def _digest(rows: Dataset) -> str:
    """Digest of the text itself, so that an edited file or a renamed one never meets a stale cache."""
    digest = hashlib.sha256(json.dumps(sorted(rows.column_names)).encode())
    for batch in rows.iter(batch_size=1000):
        for column in sorted(batch):
            digest.update(json.dumps(batch[column]).encode())
    return digest.hexdigest()
