"""How a dataset puts a question to a model, and how token ids of it become a question again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from lightning_untrac.data.chat import ASSISTANT, Chat
from lightning_untrac.data.encoding import Encoder, TokenizationConfig
from lightning_untrac.functional import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_STAND_IN: Final = "\ue002"
"""A private character, which no template treats in a way of its own."""


class Row(NamedTuple):
    """A question with an answer as token ids.

    Attributes:
        input_ids: ``[length]`` int32.
        labels: ``[length]`` int32, -100 where no target; of an encoder-decoder the answer, ``[target length]``.
    """

    input_ids: np.ndarray
    labels: np.ndarray


class QuestionFrame:
    """Put questions as pairs of a prompt and a target, or as conversations of one turn in the tokenizer's template.

    Args:
        tokenizer: of the model.
        how: how its texts become token ids.
        separator: what stands between prompt and target; of no conversation.
        chat: whether the tokenizer's chat template is used.

    Raises:
        ConfigurationError: if there is no chat template where one is to be used.
        ConversationError: if it refuses a question with an answer.

    Example:
        >>> from transformers import ByT5Tokenizer
        >>> frame = QuestionFrame(ByT5Tokenizer(), TokenizationConfig(append_eos=True), " ")
        >>> frame.row("Who?", "I").labels.tolist()
        [-100, -100, -100, -100, -100, 35, 76]
        >>> frame.question(frame.prompt("Who?"))
        'Who?'
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig, separator: str = " ", *, chat: bool = False
    ) -> None:
        self.tokenizer, self.chat, self.separator = tokenizer, chat, separator
        self._encode = Encoder(tokenizer, how, separator)
        self._front = self._back = ""
        if chat:
            text, [(first, _), *_] = Chat(tokenizer)(_conversation(_STAND_IN, "x"))
            self._front, _, rest = text[:first].partition(_STAND_IN)
            self._back = rest

    def is_like(self, other: QuestionFrame) -> bool:
        """Whether another frame puts questions in the same form."""
        return self.chat == other.chat and (self.chat or self.separator == other.separator)

    def row(self, question: str, answer: str) -> Row:
        """A question with its answer, as an example to train on; the labels are those of the answer."""
        batch = (
            {"messages": [_conversation(question, answer)], "tools": [""]}
            if self.chat
            else {"prompt": [question], "target": [answer]}
        )
        columns = self._encode(batch)
        return Row(*(np.asarray(columns[name][0], dtype=np.int32) for name in ("input_ids", "labels")))

    def prompt(self, question: str) -> list[int]:
        """The token ids with which a model begins to answer a question."""
        found = prompt_and_answer(*self.row(question, "x"), self._encode.how.seq2seq)
        return [] if found is None else list(found[0].tolist())

    def question(self, ids: Sequence[int]) -> str | None:
        """The question that a prompt's token ids put; None where they are framed otherwise, or ask nothing."""
        text = self.tokenizer.decode(ids, skip_special_tokens=not self.chat)
        if self.chat:
            # A template may write a system's turn of its own before, which stands in front; of other turns there is
            # more than front, question and back.
            if not (text.startswith(self._front) and text.rstrip().endswith(self._back.rstrip())):
                return None
            text = text[len(self._front) : len(text.rstrip()) - len(self._back.rstrip())]
            if any(mark in text for mark in self.tokenizer.all_special_tokens):
                return None
        return text.strip() or None


def frame_of(dataset: Any, tokenizer: PreTrainedTokenizerBase, how: TokenizationConfig) -> QuestionFrame:
    """The frame in which a dataset's own examples stand.

    Args:
        dataset: a ``TokenizedDataset``.
        tokenizer: of the model.
        how: how it was tokenised.
    """
    chat = bool(dataset.config.messages)
    return QuestionFrame(tokenizer, replace(how, max_length=None), dataset.config.separator, chat=chat)


def questions_in(dataset: Any, frame: QuestionFrame, seq2seq: bool = False) -> Iterable[tuple[int, str, str]]:
    """The examples of a dataset that begin with a question: their indices, questions and (first) answers.

    Args:
        dataset: a ``TokenizedDataset``.
        frame: see :func:`frame_of`.
        seq2seq: whether the answers stand apart.
    """
    for index in range(len(dataset)):
        row = dataset[index]
        found = prompt_and_answer(row["input_ids"], row["labels"], seq2seq)
        if found is None:
            continue
        question = frame.question(found[0].tolist())
        answer = frame.tokenizer.decode(found[1].tolist(), skip_special_tokens=True).strip()
        if question and answer:
            yield index, question, answer


def prompt_and_answer(ids: np.ndarray, labels: np.ndarray, apart: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """The prompt of an example and its answer, as token ids; None where there is nothing to answer.

    Of several answers (a conversation's turns) it is the first, with what stands before it.

    Args:
        ids: of the text, or of the source.
        labels: aligned with them; of an encoder-decoder the target's.
        apart: whether it is an encoder-decoder's.

    Example:
        >>> prompt, answer = prompt_and_answer(np.array([1, 5, 6, 7]), np.array([-100, -100, 6, 7]), False)
        >>> prompt.tolist(), answer.tolist()
        ([1, 5], [6, 7])
    """
    targets = np.flatnonzero(labels != IGNORE_INDEX)
    if not len(targets):
        return None
    if apart:
        return ids, labels[targets]
    first = targets[0]
    after = targets[np.append(np.diff(targets) > 1, True).argmax()] + 1
    return ids[:first], labels[first:after]


def _conversation(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": ASSISTANT, "content": answer}]
    return json.dumps(turns, ensure_ascii=False)
