"""A question put to a model in other words around it: in its chat template, where it came in that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from lightning_untrac.data.chat import Chat, ConversationError
from lightning_untrac.data.tokenizers import document_start
from lightning_untrac.decoding import PLAIN, Pair, filled_in
from lightning_untrac.errors import ConfigurationError

_STAND_INS: Final = ("\ue010", "\ue011", "\ue012", "\ue013")
"""Private characters, which no template treats in a way of their own."""


class Frame(NamedTuple):
    """What a chat template writes around the messages of a conversation.

    Attributes:
        header: before a user's message.
        middle: between a user's message and the assistant's.
        between: between an assistant's message and the next one of the user's, which has its header in it.
        behind: between the user's last message and what the assistant is to say.
    """

    header: str
    middle: str
    between: str
    behind: str

    @classmethod
    def of(cls, tokenizer: Any) -> Frame | None:
        """That of a tokenizer; None where it has no chat template.

        Args:
            tokenizer: any of transformers'.

        Raises:
            ConfigurationError: if its template takes no conversation of two questions.
        """
        if not tokenizer.chat_template:
            return None
        roles = ("user", "assistant", "user", "assistant")
        turns = [{"role": role, "content": mark} for role, mark in zip(roles, _STAND_INS, strict=True)]
        try:
            text, spans = Chat(tokenizer)(json.dumps(turns))
            first, second, third, fourth = (text.index(mark) for mark in _STAND_INS)
        except (ConversationError, ValueError) as error:
            raise ConfigurationError(
                [f"tokenizer: its chat template can't hold two questions after one another ({error}); ask without "
                 "formats and shots, or give a tokenizer with another template"]
            ) from error  # fmt: skip
        front, between = text[:first], text[second + 1 : third]
        header = _common_end(front, between)
        return cls(header, text[first + 1 : second], between, text[third + 1 : min(fourth, spans[-1][0])])

    def parts(self, prompt: str) -> tuple[str, str, str] | None:
        """What stands before the last message of the user's, the message, and what stands behind it.

        Args:
            prompt: as the model reads it.

        Returns:
            The three, which joined are the prompt; None where it isn't written by this template.

        Example:
            >>> Frame("<u>", "<a>", "<e><u>", "<a>").parts("<u>Hi<a>Hello<e><u>Why?<a>")
            ('<u>Hi<a>Hello<e><u>', 'Why?', '<a>')
            >>> Frame("<u>", "<a>", "<e><u>", "<a>").parts("Why?") is None
            True
        """
        bare, behind = prompt.rstrip(), self.behind.rstrip()
        if not self.header or not bare.endswith(behind):
            return None
        end = len(bare) - len(behind)
        later = prompt.rfind(self.between, 0, end)
        begin = later + len(self.between) if later >= 0 else prompt.find(self.header, 0, end) + len(self.header)
        if begin < len(self.header):
            return None
        return prompt[:begin], prompt[begin:end], prompt[end:]


class Framing:
    """Puts questions to a model otherwise than their dataset does, from the token ids of the prompt.

    The prompt is decoded, special tokens too, the user's last message in it is changed, and the whole is encoded
    again, because a tokenizer that is given pieces may cut them otherwise. Without a chat template, or where the prompt
    isn't written by it, the message is the prompt.

    Args:
        module: a ``LanguageModule`` in a Trainer.
    """

    def __init__(self, module: Any) -> None:
        self.module, self.tokenizer = module, module.tokenizer

    @cached_property
    def frame(self) -> Frame | None:
        """What the tokenizer's chat template writes."""
        return Frame.of(self.tokenizer)

    def prompts(self, prompt: Sequence[int], formats: Sequence[str], is_chat: bool = False) -> list[list[int]]:
        """Token ids of a prompt in each of several formats; in the plain one as they are.

        Args:
            prompt: token ids.
            formats: templates with ``{prompt}``.
            is_chat: whether the dataset is one of conversations.

        Raises:
            ConfigurationError: if the user's message can't be found in a conversation.
        """
        return [[*prompt] if one == PLAIN else self.encoded(self.put(prompt, one, is_chat), prompt) for one in formats]

    def put(self, prompt: Sequence[int], template: str, is_chat: bool = False) -> str:
        """The text of a prompt with its question in another format, see :meth:`prompts`."""
        before, message, behind = self.parts(prompt, is_chat)
        return before + filled_in(template, message.strip()) + behind

    def after(
        self, pairs: Sequence[Pair], prompt: Sequence[int], room: int | None, is_chat: bool = False
    ) -> list[int] | None:
        """Token ids of a prompt with answered questions before its own: earlier turns, or one a line.

        Args:
            pairs: as many of the first as there is room for stand there; none is cut.
            prompt: token ids.
            room: most tokens of all; None for any number.
            is_chat: whether the dataset is one of conversations.

        Returns:
            The ids; None where there is no room for any pair.
        """
        before, message, behind = self.parts(prompt, is_chat)
        shots = [self._shot(pair, bool(before)) for pair in pairs]
        count = len(shots)
        if room is not None and shots:
            sizes = [len(ids) for ids in self.tokenizer(shots, add_special_tokens=False, verbose=False)["input_ids"]]
            count = int(np.searchsorted(len(prompt) + np.cumsum(sizes), room, side="right"))
        for size in range(min(count + 1, len(shots)), 0, -1):  # sizes of pieces are not quite those in the whole
            ids = self.encoded(before + "".join(shots[:size]) + message + behind, prompt)
            if room is None or len(ids) <= room:
                return ids
        return None

    def _shot(self, pair: Pair, as_turns: bool) -> str:
        if as_turns and self.frame is not None:
            return f"{pair.prompt.strip()}{self.frame.middle}{pair.target.strip()}{self.frame.between}"
        return f"{pair.prompt}{pair.target}{self._line_break}"

    @cached_property
    def _line_break(self) -> str:
        """A line break, or what stands between documents where the tokenizer has none."""
        tokenizer = self.tokenizer
        ids = tokenizer("a\na", add_special_tokens=False)["input_ids"]
        if "\n" in self.decoded(ids):
            return "\n"
        marks = [] if self.module.is_seq2seq else [tokenizer.eos_token_id, self._start]
        return self.decoded([one for one in dict.fromkeys(marks) if one is not None]) or " "

    def parts(self, prompt: Sequence[int], is_chat: bool = False) -> tuple[str, str, str]:
        """What stands before the question that a prompt asks, the question, and what stands behind it."""
        ids = [*prompt]
        found = None
        if not self.module.is_seq2seq and self.frame is not None:
            found = self.frame.parts(self.decoded(ids))
        if found is None and is_chat:
            raise ConfigurationError(
                ["formats and shots: the user's last message can't be found again in a conversation "
                 f"({self.decoded(ids)[-80:]!r}); was it cut (data.max_length)?"]
            )  # fmt: skip
        return found or ("", self.decoded(ids[1:] if ids and ids[0] == self._start else ids), "")

    def encoded(self, text: str, prompt: Sequence[int]) -> list[int]:
        """Token ids of a text that takes the place of a prompt, and begins as that does."""
        ids = list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        start = self._start
        begins = start is not None and len(prompt) > 0 and prompt[0] == start
        return [start, *ids] if start is not None and begins and ids[:1] != [start] else ids

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens too."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @property
    def _start(self) -> int | None:
        """What a document begins with."""
        if self.module.is_seq2seq:
            return None
        return document_start(self.tokenizer, getattr(self.module.trainer.datamodule, "document_start", None))


def _common_end(one: str, other: str) -> str:
    """What two texts end with alike.

    Example:
        >>> _common_end("s<u>", "<e><u>")
        '<u>'
    """
    size = 0
    while size < min(len(one), len(other)) and one[-1 - size] == other[-1 - size]:
        size += 1
    return one[len(one) - size :]
