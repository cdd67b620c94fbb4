"""A question that goes through a dataset's form and comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_templates import BRACKETS, CHATML, MARKED, SYSTEM_LAST, TALK, tokenizer
from transformers import ByT5Tokenizer

from lightning_untrac.data import CorpusDataModule, DatasetConfig
from lightning_untrac.data.encoding import TokenizationConfig
from lightning_untrac.data.question_frame import QuestionFrame, frame_of, questions_in

ASKED = [("Who lives here?", "a heron"), ("And there?", "two wrens")]


def prepared(tmp_path: Any, make_facts: Any, made: Any, rows: list[dict[str, Any]], **columns: Any) -> Any:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = CorpusDataModule(
        [DatasetConfig(str(tmp_path / "a.jsonl"), name="x", **columns)], cache_folder=str(tmp_path / "cache"),
        append_eos=True,
    )  # fmt: skip
    data.prepare(make_facts(tokenizer=made, vocabulary_size=len(made)))
    return data.tokenized_corpora["x"]


@pytest.mark.parametrize(
    "template", [CHATML, MARKED, BRACKETS, SYSTEM_LAST], ids=["chatml", "marked", "inst", "system"]
)
def test_conversations_of_one_turn(tmp_path: Any, make_facts: Any, template: str) -> None:
    made = tokenizer(template)
    rows = [{"talk": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in ASKED]
    dataset = prepared(tmp_path, make_facts, made, rows, messages="talk")
    frame = frame_of(dataset, made, TokenizationConfig(append_eos=True))
    assert frame.chat
    assert [(question, answer.strip()) for _, question, answer in questions_in(dataset, frame)] == ASKED
    for index, (question, answer) in enumerate(ASKED):
        row = frame.row(question, answer)
        assert row.input_ids.tolist() == dataset[index]["input_ids"].tolist()
        assert row.labels.tolist() == dataset[index]["labels"].tolist()
        first = next(place for place, label in enumerate(row.labels) if label != -100)
        assert frame.prompt(question) == row.input_ids[:first].tolist()


def test_of_a_longer_conversation_the_first_question(tmp_path: Any, make_facts: Any) -> None:
    made = tokenizer(CHATML)
    dataset = prepared(tmp_path, make_facts, made, [{"talk": TALK}], messages="talk")
    frame = frame_of(dataset, made, TokenizationConfig())
    assert [*questions_in(dataset, frame)] == [(0, "who lives here?", "a heron")]


def test_a_system_prompt_of_its_own_is_no_question(tmp_path: Any, make_facts: Any) -> None:
    made = tokenizer(CHATML)
    talk = [{"role": "system", "content": "Answer."}, *TALK[:2]]
    dataset = prepared(tmp_path, make_facts, made, [{"talk": talk}, {"talk": TALK[:2]}], messages="talk")
    assert [index for index, _, _ in questions_in(dataset, frame_of(dataset, made, TokenizationConfig()))] == [1]


def test_pairs_and_texts(tmp_path: Any, make_facts: Any) -> None:
    made = tokenizer(None)
    rows = [{"question": question, "answer": answer} for question, answer in ASKED]
    dataset = prepared(tmp_path, make_facts, made, rows, prompt="question", target="answer", separator=" -> ")
    frame = frame_of(dataset, made, TokenizationConfig(append_eos=True))
    assert not frame.chat
    found = [(question, answer.removeprefix("->").strip()) for _, question, answer in questions_in(dataset, frame)]
    assert found == ASKED
    assert frame.row(*ASKED[0]).input_ids.tolist() == dataset[0]["input_ids"].tolist()
    texts = prepared(tmp_path, make_facts, made, [{"text": "a heron lives here"}])
    assert [*questions_in(texts, frame_of(texts, made, TokenizationConfig()))] == []


def test_an_encoder_decoder_has_its_answers_apart() -> None:
    frame = QuestionFrame(ByT5Tokenizer(), TokenizationConfig(seq2seq=True))
    row = frame.row("Who?", "I")
    assert row.labels.tolist() == ByT5Tokenizer()("I")["input_ids"]
    assert frame.prompt("Who?") == row.input_ids.tolist()
    assert frame.question(frame.prompt("Who?")) == "Who?"


def test_frames_that_are_alike() -> None:
    made = tokenizer(CHATML)
    pairs, chat = (QuestionFrame(made, TokenizationConfig(), chat=chat) for chat in (False, True))
    assert pairs.is_like(QuestionFrame(made, TokenizationConfig()))
    assert not pairs.is_like(chat)
    assert not pairs.is_like(QuestionFrame(made, TokenizationConfig(), ": "))
