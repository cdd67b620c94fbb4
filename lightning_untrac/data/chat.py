"""Conversations as the tokenizer's own chat template writes them, and where in that text the assistant speaks."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lightning_untrac.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = datetime(2024, 7, 26)
"""What a template takes for today's date (Llama 3.1's default), so that a text is the same on every day."""

ASSISTANT = "assistant"
Message = dict[str, Any]
Span = tuple[int, int]

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_NOW = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_STAND_IN = "\ue000\ue001\ue000"
"""Private characters, which no template treats in a way of their own."""


class ConversationError(ValueError):
    """What the chat template makes of a conversation can't be used."""


class Chat:
    """Render conversations, and find the assistant's turns, each with the mark that ends it.

    A template that marks them (``{% generation %}``) is believed. For any other the turn is what the text of the
    conversation up to and with it has more than the text up to it with the assistant's header. Where those are no
    beginnings of the whole text (some templates write earlier turns otherwise), the turn's content is exchanged for a
    stand-in, and what changes is the turn.

    Args:
        tokenizer: any of transformers' with a chat template.

    Raises:
        ConfigurationError: if it has none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.chat_template:
            raise ConfigurationError(
                ["tokenizer: has no chat template, which `messages` needs; name a tokenizer that has one"]
            )
        self.tokenizer = tokenizer
        marks = sorted({str(mark) for mark in tokenizer.all_special_tokens}, key=len, reverse=True)
        for token in getattr(tokenizer, "added_tokens_decoder", {}).values():
            marks += [token.content] if token.special and token.content not in marks else []
        self._end_mark = re.compile(r"\s*(?:" + "|".join(map(re.escape, marks)) + ")") if marks else None
        self._after_mark = re.compile(r"(" + "|".join(map(re.escape, marks)) + r")\s+$") if marks else None

    def __call__(self, messages: str, tools: str = "") -> tuple[str, list[Span]]:
        """The text of a conversation and the assistant's spans in it.

        Args:
            messages: a JSON list of messages, see :mod:`lightning_untrac.data.messages`.
            tools: a JSON list of the tools' schemas, or empty.

        Raises:
            ConversationError: if the template refuses the conversation, or if a turn can't be found in its text.
        """
        conversation, schemas = json.loads(messages), json.loads(tools) if tools else None
        template = _NOW.sub(
            lambda call: json.dumps(TODAY.strftime(call[2])), self.tokenizer.get_chat_template(tools=schemas)
        )
        if _GENERATION.search(template):
            return self._marked(conversation, schemas, template)

        def render(part: list[Message], header: bool = False) -> str:
            return str(
                self.tokenizer.apply_chat_template(
                    part, tools=schemas, chat_template=template, tokenize=False, add_generation_prompt=header
                )
            )

        text = _checked(lambda: render(conversation))
        turns = [index for index, message in enumerate(conversation) if message["role"] == ASSISTANT]
        return text, [self._turn(text, conversation, index, render) for index in turns]

    def _marked(self, conversation: list[Message], tools: Any, template: str) -> tuple[str, list[Span]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        texts, spans = _checked(
            lambda: render_jinja_template(
                conversations=[conversation],
                tools=tools,
                chat_template=template,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        )
        return str(texts[0]), [(int(first), int(last)) for first, last in spans[0] if last > first]

    def _turn(self, text: str, conversation: list[Message], index: int, render: Any) -> Span:
        before = _tried(lambda: render(conversation[:index], header=True)) if index else None
        through = text if index == len(conversation) - 1 else _tried(lambda: render(conversation[: index + 1]))
        first = len(before) if before is not None and text.startswith(before) else None
        last = len(through) if through is not None and text.startswith(through) else None
        if first is None or last is None or first >= last:
            inner = self._content(text, conversation, index, render)
            if inner is None:
                raise ConversationError(
                    f"the assistant's message {index + 1} can't be found again in what the chat template writes; "
                    "mark the assistant's turns in the template with {% generation %} and {% endgeneration %}"
                )
            first = inner[0] if first is None or first > inner[0] else first
            if last is None or last < inner[1]:
                last = inner[1]
                mark = self._end_mark.match(text, last) if self._end_mark else None
                return first, mark.end() if mark else last
        # What the template writes behind the mark that ends a turn is not for the assistant to say.
        if self._after_mark and (mark := self._after_mark.search(text, first, last)):
            last = mark.end(1)
        return first, last

    def _content(self, text: str, conversation: list[Message], index: int, render: Any) -> Span | None:
        """Where a message's content is, by exchanging it."""
        if not isinstance(conversation[index].get("content"), str):
            return None
        exchanged = [*conversation]
        exchanged[index] = {**conversation[index], "content": _STAND_IN}
        other = _tried(lambda: render(exchanged))
        if other is None or other.count(_STAND_IN) != 1:
            return None
        front, behind = other.split(_STAND_IN)
        if not (text.startswith(front) and text.endswith(behind) and len(front) + len(behind) <= len(text)):
            return None
        return len(front), len(text) - len(behind)


def bos_is_a_turns_mark(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template begins every turn with the tokenizer's BOS, which then begins no plain document.

    Example:
        >>> from transformers import ByT5Tokenizer
        >>> bos_is_a_turns_mark(ByT5Tokenizer())
        False
    """
    if not tokenizer.bos_token or not tokenizer.chat_template:
        return False
    turns = [{"role": role, "content": "x"} for role in ("user", ASSISTANT, "user")]
    text = _tried(lambda: tokenizer.apply_chat_template(turns, tokenize=False))
    return text is not None and str(text).count(str(tokenizer.bos_token)) >= len(turns)


def _checked(render: Any) -> Any:
    """What a template writes; its own errors (jinja's, and any that its code raises) as one sentence."""
    try:
        return render()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConversationError(f"the chat template refuses the conversation ({reason})") from error


def _tried(render: Any) -> Any | None:
    """What a template writes, or None where it refuses a part of a conversation."""
    try:
        return render()
    except Exception:  # a template may refuse a conversation that ends otherwise than it expects
        return None
