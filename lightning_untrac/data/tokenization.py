"""Rows of text to token ids, once, in a cache on disk that is read without copying."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.arrow_cache import TOKENS, cached_table
from lightning_untrac.data.chat import ConversationError
from lightning_untrac.data.class_encoding import ClassEncoder
from lightning_untrac.data.coin_flip import one_side
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.encoding import Encoder, TokenizationConfig, content_hash
from lightning_untrac.data.labels import with_class_ids
from lightning_untrac.data.local import as_dataset
from lightning_untrac.data.marks import taken_off
from lightning_untrac.data.other_answers import Texts, others_digest, others_taken_off
from lightning_untrac.data.progress import progress_bars
from lightning_untrac.data.refusals import with_refusals
from lightning_untrac.data.tokenized import OtherAnswers, TokenizedDataset
from lightning_untrac.data.tokenizers import tokenizer_fingerprint
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.naming import counted

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Encode = Callable[[dict[str, list[str]]], dict[str, list[Any]]]
"""A batch of rows to the columns of the token cache."""

CACHE_VERSION = 3
"""Part of the cache's key: raise it when the same text would be encoded differently."""

SILENT_ROWS = 20_000
"""Below this many rows tokenising takes a moment and shows no bar."""

_IDENTITY = (("", "text"), ("prompt", "target"), ("tools", "messages"), ("", "tokens"))
"""Columns whose cells are an example's identity, one pair for each kind of row."""

BATCH_ROWS = 1000
BATCH_CHARACTERS = 2**24
"""Rows are encoded so many at a time, fewer where they are long."""


def tokenize(
    config: DatasetConfig,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    how: TokenizationConfig,
    cache_folder: Path,
    alternatives_from: str | None = None,
) -> TokenizedDataset:
    """Tokenise a dataset once; a second call reads the cache.

    Args:
        config: the dataset, for its name, separator and subsample.
        rows: strings in ``text``, in ``prompt``, ``target`` and perhaps ``alternative``, or in ``messages`` and
            ``tools``; of a classifier in ``text`` and ``label``, or in ``tokens`` and ``tags``.
        tokenizer: any of transformers'.
        how: see :class:`TokenizationConfig`.
        cache_folder: where the Arrow files lie, each named by a digest of the text, the tokenizer and ``how``.
        alternatives_from: where other answers come from for a dataset that names none.

    Returns:
        The dataset; its ``alternative`` holds the other answers, row for row, where there are any.

    Raises:
        ConfigurationError: if seq2seq rows have no prompt, if the tokenizer lacks a token or a chat template that is
            needed, if no example has a target token, if an alternative is empty, or if the folder can't be written.
    """
    if how.seq2seq and "prompt" not in rows.column_names:
        raise ConfigurationError(
            [f"{config.name}: an encoder-decoder model needs `prompt` and `target` columns, not `{config.columns[0]}`"]
        )
    if config.num_examples is not None and len(rows) > config.num_examples:
        chosen = np.random.default_rng(config.sample_seed).permutation(len(rows))[: config.num_examples]
        rows = rows.select(np.sort(chosen))
    flipped = None
    if config.coin_flip is not None:
        try:
            rows, flipped = one_side(rows, _hashes(rows), config.coin_flip)
        except ConfigurationError as error:
            raise ConfigurationError([f"{config.name}: {problem}" for problem in error.problems]) from error
    rows, marks = taken_off(rows)
    rows, others = others_taken_off(rows)
    config, rows = with_refusals(config, rows, alternatives_from)
    alternatives = rows if "alternative" in rows.column_names else None
    if alternatives is not None:
        rows = rows.remove_columns("alternative")
    if how.task.classifies:
        rows = with_class_ids(rows, config, how.task.labels)
        encode: Encode = ClassEncoder(tokenizer, how)
    else:
        encode = Encoder(tokenizer, how, config.separator)
    identity = [CACHE_VERSION, tokenizer_fingerprint(tokenizer), how.identity(), config.separator, _digest(rows)]
    if "messages" in rows.column_names:
        identity.append(tokenizer.chat_template)
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    path = cache_folder / f"{TOKENS}{key}.arrow"
    try:
        table = cached_table(path, lambda: _encoded(rows, encode, f"tokenising {config.name}"), _schema())
    except OSError as error:
        raise ConfigurationError(
            [f"data.cache_folder: can't write token ids to {cache_folder} ({error}); make room or name another"]
        ) from error
    except ConversationError as error:
        raise ConfigurationError([f"{config.name}: {error}"]) from error
    fingerprint = key + marks.digest() + others_digest(others)
    dataset = TokenizedDataset(config, table, num_source_examples=len(rows), fingerprint=fingerprint)
    dataset.flipped = flipped
    if len(dataset) == 0 or dataset.num_targets == 0:
        raise ConfigurationError([f"{config.name}: has no target token at all; {_why_none(rows)}"])
    dataset.marks = marks if len(dataset) == len(rows) else marks.of(np.array(_kept(dataset, rows)))
    if alternatives is not None:
        dataset.alternative = _alternative(dataset, alternatives, tokenizer, how, cache_folder)
    dataset.other_answers = {
        kind: _others(dataset, rows, kind, texts, tokenizer, how, cache_folder) for kind, texts in others.items()
    }
    return dataset


def _alternative(
    dataset: TokenizedDataset, rows: Dataset, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig, cache: Path
) -> TokenizedDataset:
    """The other answers to the prompts of a dataset's examples, row for row."""
    places = _kept(dataset, rows)
    chosen = rows.select(places)
    name = f"{dataset.name}.alternative"
    config = replace(dataset.config, name=name, target=dataset.config.alternative, alternative=None, num_examples=None)
    config.coin_flip = None
    others = chosen.remove_columns("target").rename_columns({"alternative": "target"})
    empty = [place for place, text in zip(places, others["target"], strict=True) if not text]
    column = dataset.config.alternative
    if empty:
        raise ConfigurationError(
            [f"{dataset.name}: column {column!r} is empty in {counted(len(empty), 'row')}, first in row "
             f"{empty[0] + 1}; write an alternative into each"]
        )  # fmt: skip
    found = tokenize(config, others, tokenizer, how, cache)
    if len(found) != len(dataset):
        raise ConfigurationError(
            [f"{dataset.name}: {len(dataset) - len(found)} cells of column {column!r} make no token; write an "
             "alternative into each row"]
        )  # fmt: skip
    return found


def _others(
    dataset: TokenizedDataset,
    rows: Dataset,
    kind: str,
    texts: Texts,
    tokenizer: PreTrainedTokenizerBase,
    how: TokenizationConfig,
    cache: Path,
) -> OtherAnswers:
    """Further answers to the prompts of a dataset's examples; an example without any keeps its place."""
    places = range(len(rows)) if len(dataset) == len(rows) else _kept(dataset, rows)
    prompts = rows["prompt"]
    flat = [(prompts[place], text) for place in places for text in texts[place]]
    column = getattr(dataset.config, kind)
    if not flat:
        raise ConfigurationError([f"{dataset.name}: column {column!r} holds no answer in any row; leave `{kind}` out"])
    name = f"{dataset.name}.{kind}"
    config = replace(dataset.config, name=name, alternative=None, num_examples=None)
    config.wrong_answers = config.paraphrased_answer = config.choices = config.coin_flip = None
    flat_rows = as_dataset({"prompt": [prompt for prompt, _ in flat], "target": [answer for _, answer in flat]})
    found = tokenize(config, flat_rows, tokenizer, how, cache)
    if len(found) != len(flat):
        raise ConfigurationError(
            [f"{dataset.name}: {counted(len(flat) - len(found), 'answer')} of column {column!r} make no token; leave "
             "them out"]
        )  # fmt: skip
    return OtherAnswers(found, np.array([len(texts[place]) for place in places]))


def _kept(dataset: TokenizedDataset, rows: Dataset) -> list[int]:
    """Which rows became examples; those without a target were left out."""
    kept = set(dataset.distinct_hashes().to_pylist())
    return [i for i, identity in enumerate(_hashes(rows)) if identity in kept]


def _hashes(rows: Dataset) -> list[str]:
    """The identity of each row."""
    one, other = next(pair for pair in _IDENTITY if pair[1] in rows.column_names)
    return [content_hash(row[one] if one else "", row[other]) for row in rows]


def _encoded(rows: Dataset, encode: Encode, said: str) -> Iterator[Any]:
    """Record batches of the cache."""
    import pyarrow as pa
    from datasets.utils import tqdm

    schema = _schema()
    with progress_bars(len(rows) > SILENT_ROWS), tqdm(total=len(rows), desc=said, unit=" examples") as bar:
        for batch in rows.iter(batch_size=BATCH_ROWS):
            for part in _parts(batch):
                columns = encode(part)
                arrays = [pa.array(columns[field.name], field.type) for field in schema]
                yield pa.record_batch(arrays, schema=schema)
            bar.update(len(next(iter(batch.values()))))


def _parts(batch: dict[str, list[str]]) -> Iterator[dict[str, list[str]]]:
    """A batch in parts of a bounded number of characters."""
    sizes = np.sum([[len(cell) for cell in column] for column in batch.values()], axis=0)
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH_CHARACTERS)) + 1
    for begin, end in zip([0, *cuts], [*cuts, len(sizes)], strict=True):
        yield {name: column[begin:end] for name, column in batch.items()}


def _schema() -> Any:
    """The cache's columns."""
    import pyarrow as pa

    ids = pa.list_(pa.int32())
    return pa.schema(
        {
            "input_ids": ids,
            "labels": ids,
            "content_hash": pa.string(),
            "num_tokens_before_cut": pa.int64(),
            "truncated": pa.bool_(),
            "num_targets": pa.int64(),
            "max_token": pa.int64(),
        }
    )


def _why_none(rows: Dataset) -> str:
    if "messages" in rows.column_names:
        return "does any conversation have a turn of the assistant's?"
    return "is the text (or every target) empty?"


def _digest(rows: Dataset) -> str:
    """Digest of the text itself, so that an edited file or a renamed one never meets a stale cache."""
    digest = hashlib.sha256(json.dumps(sorted(rows.column_names)).encode())
    for batch in rows.iter(batch_size=BATCH_ROWS):
        for column in sorted(batch):
            digest.update(json.dumps(batch[column]).encode())
    return digest.hexdigest()
