"""A few texts of a dataset for the report: short, and as the model reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightning_untrac.data.loading import Examples
from lightning_untrac.data.tokenized import TokenizedDataset

LONGEST = 240
"""Characters of a text that are kept."""

_TOKENS = 200


def report_texts(dataset: TokenizedDataset, tokenizer: Any, count: int, seq2seq: bool = False) -> list[str]:
    """The beginnings of the first examples of a dataset, decoded from its token ids.

    Args:
        dataset: the dataset.
        tokenizer: that it was tokenised with.
        count: how many texts; 0 for none.
        seq2seq: whether inputs and targets are sequences of their own; then both are given.

    Returns:
        At most ``count`` texts of at most :data:`LONGEST` characters, with an ellipsis where they were cut.
    """
    return beginnings(dataset, tokenizer, range(min(count, len(dataset))), seq2seq)


def beginnings(dataset: Examples, tokenizer: Any, indices: Iterable[int], seq2seq: bool = False) -> list[str]:
    """The beginnings of chosen examples (or blocks), as :func:`report_texts` gives them.

    Args:
        dataset: the dataset.
        tokenizer: that it was tokenised with.
        indices: which examples.
        seq2seq: whether inputs and targets are sequences of their own; then both are given.
    """
    texts = []
    for index in indices:
        example = dataset[index]
        parts = [example["input_ids"], *([example["labels"]] if seq2seq else [])]
        cut = any(len(part) > _TOKENS for part in parts)
        whole = " \u2192 ".join(
            tokenizer.decode([int(token) for token in part[:_TOKENS]], skip_special_tokens=True) for part in parts
        ).strip()
        texts.append(whole[:LONGEST] + ("\u2026" if cut or len(whole) > LONGEST else ""))
    return texts
