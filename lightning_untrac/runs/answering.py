"""Questions and openings as a model is asked them, and its answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lightning_untrac.data.chat import Chat, ConversationError
from lightning_untrac.data.encoding import Encoder, TokenizationConfig
from lightning_untrac.data.neutral import is_question
from lightning_untrac.modules.continuations import text_after
from lightning_untrac.runs.continuing import continue_with
from lightning_untrac.runs.stage import Stage

LONGEST: Final = 32
"""Most tokens of an answer."""

_STAND_IN: Final = "\ue002"
"""A private character, which no template treats in a way of its own."""


@dataclass(frozen=True)
class Answers:
    """A text and what the model says to it.

    Attributes:
        asked: as the user gave it.
        prompt: what stands before the target, in the model's chat template where it has one.
        target: what is stepped on, or measured.
        begin: what the model is given to go on with.
        before: how it goes on.
    """

    asked: str
    prompt: str
    target: str
    begin: str
    before: str


def prompt_problems(stage: Stage, texts: Sequence[str]) -> list[str]:
    """Why texts can't be forgotten by this model.

    Args:
        stage: with a sound model.
        texts: to forget.
    """
    module, found = stage.module, []
    for text in texts:
        if not module.tokenizer(text, add_special_tokens=False)["input_ids"]:
            found.append(f"forget_text: {text!r} becomes no token; give a text that the model can read")
        if module.is_seq2seq and not is_question(text):
            found.append(
                f"forget_text: {text!r} is no question (it doesn't end in '?'), and an encoder-decoder needs one that "
                "it answers; give data.forget with `prompt` and `target` for anything else"
            )
    try:
        _frame(module.tokenizer)
    except ConversationError as error:
        found.append(f"forget_text: {error}; give a tokenizer without a chat template, or one that takes a question")
    return found


def ask(stage: Stage, texts: Sequence[str], whole: Sequence[bool]) -> list[Answers]:
    """What the model says to questions and openings before unlearning; to a text, how it goes on after its first half.

    Args:
        stage: the verb's, checked.
        texts: as the user gave them.
        whole: of which the text itself is the target.
    """
    front, end = _frame(stage.module.tokenizer)
    begins = [front(text) if is_question(text) else _half(text) if all_of else text
              for text, all_of in zip(texts, whole, strict=True)]  # fmt: skip
    found = []
    for text, all_of, begin, (said, ended) in zip(texts, whole, begins, go_on(stage, begins), strict=True):
        target = said + end if ended and said and is_question(text) else said
        found.append(Answers(text, "" if all_of else begin, text if all_of else target, begin, said))
    return found


def go_on(stage: Stage, begins: Sequence[str], path: str | None = None) -> list[tuple[str, bool]]:
    """Greedy continuations of texts, at most :data:`LONGEST` tokens each, and whether they came to an end by then.

    Args:
        stage: the verb's.
        begins: the texts.
        path: of a saved model; None for the one that the verb begins from.
    """
    module, tokenizer = stage.module, stage.module.tokenizer
    encode = Encoder(tokenizer, TokenizationConfig(module.is_seq2seq, document_start=stage.data.document_start), "")
    texts = list(begins)
    rows = {"prompt": texts, "target": [_STAND_IN] * len(texts)} if module.is_seq2seq else {"text": texts}
    prompts = [ids.tolist() for ids in encode(rows)["input_ids"]]
    found = []
    for prompt, ids in zip(prompts, continue_with(stage, prompts, LONGEST, path), strict=True):
        found.append((text_after(tokenizer, prompt, ids, module.is_seq2seq), len(ids) < LONGEST))
    return found


def _half(text: str) -> str:
    """The first half of a text, to the end of a word."""
    middle = len(text) // 2
    border = text.find(" ", middle)
    return text[: border if border > 0 else max(1, middle)]


def _frame(tokenizer: Any) -> tuple[Any, str]:
    """How a question is put to a model, and what ends its answer.

    Args:
        tokenizer: whose chat template is used, if it has one.

    Raises:
        ConversationError: if the template refuses a question with an answer.
    """
    if not tokenizer.chat_template:
        return str, tokenizer.eos_token or ""
    chat = Chat(tokenizer)

    def rendered(question: str) -> tuple[str, int, int]:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": _STAND_IN}]
        text, [(first, last)] = chat(json.dumps(turns))
        return text, text.index(_STAND_IN, first), last

    text, first, last = rendered("Why?")

    def front(question: str) -> str:
        text, first, _ = rendered(question)
        return text[:first]

    return front, text[first + len(_STAND_IN) : last]
