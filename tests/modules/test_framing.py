"""A question in other formats, against the same conversation written by the tokenizer's own template."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from chats import ONE_TURN, TEMPLATES, chat_tokenizer

from lightning_untrac.data.encoding import Encoder, TokenizationConfig
from lightning_untrac.data.tokenizers import load_tokenizer
from lightning_untrac.decoding import Pair
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.modules.framing import Framing

FORMATS = ("{prompt}", "Please answer: {prompt}", "{prompt} Answer in one word.", "Q: {prompt} {A}:")
TALKS = {
    "one question": [("user", "who lives here?")],
    "a system message": [("system", "Answer."), ("user", "who lives here?")],
    "earlier turns": [("user", "hi, user: x"), ("assistant", "hello"), ("user", "who lives here?")],
}


def module(tokenizer: Any, is_seq2seq: bool = False) -> Any:
    trainer = SimpleNamespace(datamodule=SimpleNamespace(document_start=None))
    return SimpleNamespace(tokenizer=tokenizer, is_seq2seq=is_seq2seq, trainer=trainer)


def asked(tokenizer: Any, talk: list[tuple[str, str]], answer: str = "a heron") -> list[int]:
    """Token ids before the last answer, as the dataset of a conversation has them."""
    turns = [{"role": role, "content": content} for role, content in [*talk, ("assistant", answer)]]
    (row,) = zip(*_encoded(tokenizer, {"messages": [json.dumps(turns)], "tools": [""]}), strict=True)
    ids, labels = row
    last = max(i for i, one in enumerate(labels[:-1]) if one == IGNORE_INDEX and labels[i + 1] != IGNORE_INDEX)
    return ids[: last + 1]


def _encoded(tokenizer: Any, rows: dict[str, list[str]]) -> tuple[list[list[int]], list[list[int]]]:
    columns = Encoder(tokenizer, TokenizationConfig(), " ")(rows)
    return [one.tolist() for one in columns["input_ids"]], [one.tolist() for one in columns["labels"]]


@pytest.mark.parametrize(
    ("template", "talk"),
    [(one, talk) for one in TEMPLATES for talk in TALKS if (one, talk) != ("brackets", "a system message")],
)
def test_the_last_question_of_a_conversation_is_put_into_the_formats(template: str, talk: str) -> None:
    tokenizer = chat_tokenizer(template)
    prompt = asked(tokenizer, TALKS[talk])
    found = Framing(module(tokenizer)).prompts(prompt, FORMATS, is_chat=True)
    assert found[0] == prompt
    (*before, (role, question)) = TALKS[talk]
    for ids, template_of_question in zip(found, FORMATS, strict=True):
        put = template_of_question.replace("{prompt}", question)
        assert ids == asked(tokenizer, [*before, (role, put)])
    assert len({tuple(ids) for ids in found}) == len(FORMATS)


@pytest.mark.parametrize("template", [None, "chatml"])
def test_a_plain_prompt_is_put_into_them_itself_and_begins_as_it_did(template: str | None) -> None:
    tokenizer = chat_tokenizer(template)
    prompts = ["Who lives é here?", *(one.replace("{prompt}", "Who lives é here?") for one in FORMATS[1:])]
    ids, labels = _encoded(tokenizer, {"prompt": prompts, "target": ["heron"] * len(prompts)})
    expected = [
        row[: next(i for i, one in enumerate(marks) if one != IGNORE_INDEX)]
        for row, marks in zip(ids, labels, strict=True)
    ]
    assert Framing(module(tokenizer)).prompts(expected[0], FORMATS) == expected
    assert expected[0][0] == tokenizer.bos_token_id


PAIRS = [Pair("why?", " so"), Pair("and how is that?", " in no way at all"), Pair("when?", " é")]


@pytest.mark.parametrize("talk", ["one question", "earlier turns"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_shots_are_earlier_turns_of_a_conversation(template: str, talk: str) -> None:
    tokenizer = chat_tokenizer(template)
    framing, (*before, last) = Framing(module(tokenizer)), TALKS[talk]
    whole = {
        count: asked(
            tokenizer,
            [*before, *((role, text.strip()) for pair in PAIRS[:count] for role, text in
                        (("user", pair.prompt), ("assistant", pair.target))), last],
        )
        for count in range(len(PAIRS) + 1)
    }  # fmt: skip
    prompt = whole[0]
    assert framing.after(PAIRS, prompt, None, is_chat=True) == whole[3]
    for room in range(len(prompt), len(whole[3]) + 2):  # the most that there is room for, and none cut
        count = max(count for count, ids in whole.items() if len(ids) <= room)
        assert framing.after(PAIRS, prompt, room, is_chat=True) == (whole[count] if count else None)


def test_shots_are_lines_before_a_plain_prompt() -> None:
    tokenizer = chat_tokenizer(None)
    prompt = [tokenizer.bos_token_id, *tokenizer("Who?")["input_ids"]]
    found = Framing(module(tokenizer)).after(PAIRS, prompt, None)
    assert tokenizer.decode(found) == "<s>why? so\nand how is that? in no way at all\nwhen? é\nWho?"
    words = load_tokenizer("people-words")  # which has no line break
    prompt = [words.bos_token_id, *words("Where did Ada study?", add_special_tokens=False)["input_ids"]]
    found = Framing(module(words)).after([Pair("Where?", " Here.")] * 2, prompt, None)
    assert found is not None
    assert [i for i, one in enumerate(found) if one == words.bos_token_id] == [0, 6, 12]
    assert [found[i - 1] for i in (6, 12)] == [words.eos_token_id] * 2
    assert found[-len(prompt) + 1 :] == prompt[1:]


def test_what_cannot_be_put_into_a_format_is_said() -> None:
    tokenizer = chat_tokenizer("chatml")
    cut = asked(tokenizer, TALKS["one question"])[-20:]
    with pytest.raises(ConfigurationError, match=r"can't be found again in a conversation .*max_length"):
        Framing(module(tokenizer)).prompts(cut, FORMATS, is_chat=True)
    with pytest.raises(ConfigurationError, match=r"can't hold two questions after one another .*one turn only"):
        Framing(module(chat_tokenizer(ONE_TURN))).prompts(cut, FORMATS)
