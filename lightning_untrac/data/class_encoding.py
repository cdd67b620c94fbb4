"""Batches of rows with classes to token ids and class ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.encoding import Encoded, TokenizationConfig, content_hash, token_columns
from lightning_untrac.functional import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ClassEncoder:
    """A batch of rows to token ids and the ids of their classes.

    A text is encoded as the tokenizer does it by itself, with its special tokens (``[CLS]`` and ``[SEP]``, say), and
    cut as it cuts. Of a word's tokens the first has the word's class, as usual for word pieces.

    Args:
        tokenizer: any of transformers'.
        how: see :class:`~lightning_untrac.data.encoding.TokenizationConfig`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig) -> None:
        self.tokenizer, self.how = tokenizer, how

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        """Encode a batch; empty texts, and those without a class, are left out.

        Args:
            batch: ``text`` and ``label`` (a number), or ``tokens`` and ``tags`` (JSON lists).

        Returns:
            The columns of the token cache, a list each.
        """
        rows = self._by_token(batch) if self.how.task.by_token else self._by_text(batch)
        return token_columns(rows, self.how.max_length, class_ids=True)

    def _by_text(self, batch: dict[str, list[str]]) -> Iterator[tuple[str, Encoded]]:
        rows = [(text, int(label)) for text, label in zip(batch["text"], batch["label"], strict=True) if text]
        if not rows:
            return
        whole = self.tokenizer([text for text, _ in rows], verbose=False)["input_ids"]
        for (text, label), ids in zip(rows, whole, strict=True):
            before = len(ids)
            if self.how.max_length is not None and before > self.how.max_length:
                ids = self.tokenizer(text, truncation=True, max_length=self.how.max_length)["input_ids"]
            yield content_hash("", text), (ids, [label], 1, before)

    def _by_token(self, batch: dict[str, list[str]]) -> Iterator[tuple[str, Encoded]]:
        for cell, tags in zip(batch["tokens"], batch["tags"], strict=True):
            words, classes = json.loads(cell), json.loads(tags)
            ids, labels, before = self._words(words, classes)
            yield content_hash("", cell), (ids, labels, int((labels != IGNORE_INDEX).sum()), before)

    def _words(self, words: list[str], classes: list[int]) -> tuple[list[int], np.ndarray, int]:
        if not getattr(self.tokenizer, "is_fast", False):
            return self._word_by_word(words, classes)
        text, starts, place = " ".join(words), {}, 0
        for word, label in zip(words, classes, strict=True):
            if word:
                starts[place] = label
            place += len(word) + 1
        before = len(self.tokenizer(text, verbose=False)["input_ids"])
        cut = {"truncation": True, "max_length": self.how.max_length} if self.how.max_length is not None else {}
        encoded = self.tokenizer(text, return_offsets_mapping=True, verbose=False, **cut)
        labels = np.full(len(encoded["input_ids"]), IGNORE_INDEX, dtype=np.int32)
        for index, (begin, end) in enumerate(encoded["offset_mapping"]):
            first = next((start for start in range(begin, end) if start in starts), None)
            if first is not None:
                labels[index] = starts.pop(first)
        return encoded["input_ids"], labels, before

    def _word_by_word(self, words: list[str], classes: list[int]) -> tuple[list[int], np.ndarray, int]:
        """The same by a tokenizer that doesn't say where its tokens lie."""
        pieces = [f" {word}" if index else word for index, word in enumerate(words)]
        ids, labels = list[int](), list[int]()
        if pieces:
            for piece, label in zip(
                self.tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"], classes, strict=True
            ):
                ids += piece
                labels += [label, *[IGNORE_INDEX] * (len(piece) - 1)] if piece else []
        empty = self.tokenizer.build_inputs_with_special_tokens([])
        before = len(ids) + len(empty)
        if self.how.max_length is not None:
            room = max(0, self.how.max_length - len(empty))
            ids, labels = ids[:room], labels[:room]
        whole = self.tokenizer.build_inputs_with_special_tokens(ids)
        found = np.full(len(whole), IGNORE_INDEX, dtype=np.int32)
        begin = next((place for place in range(len(empty) + 1) if whole[place : place + len(ids)] == ids), 0)
        found[begin : begin + len(labels)] = labels
        return whole, found, before
