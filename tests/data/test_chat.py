"""The assistant's turns in what well-known kinds of chat templates write."""

import json

import pytest
from chat_templates import (
    BRACKETS,
    CHATML,
    DATED,
    FORGETFUL,
    MARKED,
    SYSTEM,
    SYSTEM_LAST,
    TALK,
    UNMARKED,
    tokenizer,
)

from lightning_untrac.data import CorpusDataModule, DatasetConfig
from lightning_untrac.data.chat import Chat, ConversationError, bos_is_a_turns_mark
from lightning_untrac.data.encoding import Encoder, TokenizationConfig
from lightning_untrac.data.messages import conversation_text, tools_text
from lightning_untrac.data.sources import expand
from lightning_untrac.errors import ConfigurationError


def spoken(template, talk, tools=""):
    text, spans = Chat(tokenizer(template))(json.dumps(talk), tools)
    return [text[first:last] for first, last in spans]


@pytest.mark.parametrize(
    ("template", "talk", "expected"),
    [
        (CHATML, TALK, ["a heron<|im_end|>", "two wrens<|im_end|>"]),
        (CHATML, [SYSTEM, *TALK], ["a heron<|im_end|>", "two wrens<|im_end|>"]),
        (CHATML, TALK[:3], ["a heron<|im_end|>"]),
        (MARKED, [SYSTEM, *TALK], ["a heron<|im_end|>", "two wrens<|im_end|>"]),
        (BRACKETS, TALK, [" a heron </s>", " two wrens </s>"]),
        (SYSTEM_LAST, [SYSTEM, *TALK], ["a heron</s>", "two wrens</s>"]),
        (FORGETFUL, TALK, ["a heron<|im_end|>", "<think></think>two wrens<|im_end|>"]),
        (UNMARKED, TALK, ["assistant: a heron\n", "assistant: two wrens\n"]),
        (CHATML, TALK[:1], []),
    ],
)
def test_the_assistants_turns_with_their_ends(template, talk, expected):
    assert spoken(template, talk) == expected


def test_two_answers_alike_are_told_apart():
    talk = [TALK[0], {"role": "assistant", "content": "x"}, TALK[2], {"role": "assistant", "content": "x"}]
    text, spans = Chat(tokenizer(SYSTEM_LAST))(json.dumps([SYSTEM, *talk]))
    assert [text[first:last] for first, last in spans] == ["x</s>", "x</s>"]
    assert spans[0][0] == text.index("x</s>") < spans[1][0] == text.rindex("x</s>")


def test_tools_and_calls_are_written_by_the_template():
    call = {"type": "function", "function": {"name": "count", "arguments": {"what": "wrens", "limit": 2}}}
    talk = [
        TALK[0],
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "2"},
        TALK[3],
    ]
    tools = json.dumps([{"type": "function", "function": {"name": "count", "a": 1}}])
    chat = Chat(tokenizer(CHATML))
    text, spans = chat(json.dumps(talk), tools)
    assert json.dumps(json.loads(tools)[0]) in text
    assert [text[first:last] for first, last in spans] == [
        f"<call>{json.dumps(call['function'])}</call><|im_end|>",
        "two wrens<|im_end|>",
    ]
    assert "tools" not in chat(json.dumps(talk))[0]


def test_a_template_that_writes_the_date_writes_one_date():
    text, _ = Chat(tokenizer(DATED))(json.dumps(TALK))
    assert text.startswith("26 Jul 2024 ")


@pytest.mark.parametrize(
    ("template", "talk", "said"),
    [
        (BRACKETS, [SYSTEM, *TALK], "refuses the conversation (only user and assistant)"),
        (
            "{{ messages | length }}{% for m in messages %}{{ m.content | length }}{% endfor %}",
            TALK,
            "the assistant's message 2 can't",
        ),
    ],
)
def test_what_cant_be_used_is_refused(template, talk, said):
    with pytest.raises(ConversationError) as caught:
        spoken(template, talk)
    assert said in str(caught.value)


def test_no_template_at_all():
    with pytest.raises(ConfigurationError, match="has no chat template, which `messages` needs"):
        Chat(tokenizer(None))


def test_bos_as_a_turns_mark():
    assert bos_is_a_turns_mark(tokenizer(CHATML, bos="<|im_start|>"))
    assert not bos_is_a_turns_mark(tokenizer(CHATML))
    assert not bos_is_a_turns_mark(tokenizer(BRACKETS))  # before each question, not before each turn


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", [CHATML, MARKED, SYSTEM_LAST])
@pytest.mark.parametrize("slow", [False, True])
def test_labels_are_the_assistants_tokens(template, slow):
    made = tokenizer(template)
    text, spans = Chat(made)(json.dumps(TALK))
    encoder = Encoder(made, TokenizationConfig(append_eos=True), " ")
    if slow:
        encoder._located = lambda texts, inside: [
            (ids, encoder._by_pieces(*row, ids)) for *row, ids in zip(texts, inside, encoder._ids(texts), strict=True)
        ]
    out = encoder({"messages": [json.dumps(TALK)], "tools": [""]})
    ids, labels = out["input_ids"][0].tolist(), out["labels"][0].tolist()
    assert ids == made(text, add_special_tokens=False)["input_ids"]  # nothing added, neither in front nor behind
    assert [label for label in labels if label != -100] == [
        token for first, last in spans for token in made(text[first:last], add_special_tokens=False)["input_ids"]
    ]
    assert made.decode([token for token, label in zip(ids, labels, strict=True) if label == -100])
    assert out["num_targets"] == [sum(label != -100 for label in labels)]


def test_transformers_own_mask_agrees():
    made = tokenizer(MARKED)
    theirs = made.apply_chat_template(TALK, return_dict=True, return_assistant_tokens_mask=True)
    out = Encoder(made, TokenizationConfig(), " ")({"messages": [json.dumps(TALK)], "tools": [""]})
    assert out["input_ids"][0].tolist() == theirs["input_ids"]
    assert (out["labels"][0] != -100).astype(int).tolist() == theirs["assistant_masks"]


# -- from files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """The same conversations as JSON lines, as JSON in a CSV, and as nested columns."""
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"talk": TALK, "kind": 1}, {"talk": [SYSTEM, *TALK[:2]], "kind": 2}, {"talk": TALK[:1], "kind": 1}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["talk", "kind"], *([json.dumps(row["talk"]), row["kind"]] for row in rows)])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    other = [
        {"from": {"user": "human", "assistant": "gpt"}.get(m["role"], m["role"]), "value": m["content"]} for m in TALK
    ]
    (tmp_path / "b.jsonl").write_text(json.dumps({"talk": other, "kind": 1}) + "\n")
    return tmp_path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_conversations_in_files(written, name):
    config = DatasetConfig(str(written / name), name="x", messages="talk", where={"kind": 1})
    ((_, rows),) = expand([config])
    assert [json.loads(cell) for cell in rows["messages"]] == [TALK, TALK[:1]]
    assert rows["tools"][:] == ["", ""]


def test_the_other_usual_form(written):
    ((_, rows),) = expand([DatasetConfig(str(written / "b.jsonl"), name="x", messages="talk")])
    assert json.loads(rows["messages"][0]) == TALK


def test_a_data_module_reads_them(written, make_facts):
    made = tokenizer(CHATML)
    config = DatasetConfig(str(written / "a.jsonl"), name="x", messages="talk")
    data = CorpusDataModule([config], cache_folder=str(written / "cache"))
    data.prepare(make_facts(tokenizer=made, vocabulary_size=len(made)))
    dataset = data.tokenized_corpora["x"]
    assert data.notes() == ["x: 1 of 3 examples had nothing to predict and were left out"]
    texts = [made.decode([t for t in dataset[i]["labels"] if t != -100]) for i in range(len(dataset))]
    assert texts == ["a heron<|im_end|>two wrens<|im_end|>", "a heron<|im_end|>"]
    with pytest.raises(ConfigurationError, match="needs `prompt` and `target` columns, not `talk`"):
        data.prepare(make_facts(tokenizer=made, vocabulary_size=len(made), is_seq2seq=True))


def test_a_note_where_texts_begin_with_a_turns_mark(tmp_path, make_facts):
    (tmp_path / "a.txt").write_text("heron\n")
    made = tokenizer(CHATML, bos="<|im_start|>")
    for start, said in ((None, True), ("</s>", False)):
        data = CorpusDataModule(
            [DatasetConfig(str(tmp_path / "a.txt"), name="a")],
            document_start=start,
            cache_folder=str(tmp_path / "cache"),
        )
        data.prepare(make_facts(tokenizer=made, vocabulary_size=len(made)))
        assert any("set data.document_start" in note for note in data.notes()) is said
        first = data.tokenized_corpora["a"][0]["input_ids"][0]
        assert first == made.convert_tokens_to_ids("<|im_start|>" if start is None else start)


def test_a_conversation_that_the_template_refuses_is_named(written, make_facts):
    made = tokenizer(BRACKETS)
    data = CorpusDataModule(
        [DatasetConfig(str(written / "a.jsonl"), name="x", messages="talk")], cache_folder=str(written / "cache")
    )
    with pytest.raises(ConfigurationError) as caught:
        data.prepare(make_facts(tokenizer=made, vocabulary_size=len(made)))
    assert caught.value.problems == [
        "x: conversation 2: the chat template refuses the conversation (only user and assistant)"
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("hello", "is not JSON where a list of messages"),
        ([], "holds an empty list"),
        ({"role": "user"}, "holds a dict where a list of messages"),
        (["hello"], "message 1 is a str; expected `role` and `content`"),
        ([{"role": "user"}, {"content": "x"}], "message 2 has no `role`; there are content"),
        ([{"role": "user", "content": "\ud800"}], "half of a surrogate pair"),
    ],
)
def test_what_is_no_conversation(tmp_path, cell, said):
    with pytest.raises(ValueError, match=said):
        conversation_text(cell)
    (tmp_path / "a.jsonl").write_text(json.dumps({"m": cell}) + "\n")
    with pytest.raises(ConfigurationError) as caught:
        expand([DatasetConfig(str(tmp_path / "a.jsonl"), name="x", messages="m")])
    assert f"a.jsonl, line 1: {said}" in caught.value.problems[0].replace("holds text that ", "")


def test_nulls_that_a_table_fills_in_are_left_out():
    call = {"name": "f", "arguments": {"x": None}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert json.loads(conversation_text([message])) == [{"role": "assistant", "tool_calls": [call]}]
    assert json.loads(conversation_text([message], filled=True))[0]["tool_calls"] == [{"name": "f", "arguments": {}}]
    assert (tools_text(None), tools_text([]), tools_text("")) == ("", "", "")
    with pytest.raises(ValueError, match="a list of tools"):
        tools_text(["f"])
