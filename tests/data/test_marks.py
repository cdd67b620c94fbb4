"""Copies and groups: what stands beside the texts of a dataset, through files, cuts and choices."""

import json

import numpy as np
import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
from lightning_untrac.data.forget_set import ForgetChoice
from lightning_untrac.errors import ConfigurationError

ROWS = [
    {"text": "one", "n": 1, "kind": "a"},
    {"text": "", "n": 9, "kind": "lost"},
    {"text": "two", "n": 3, "kind": "b"},
    {"text": "three", "n": 2.0, "kind": "a"},
    {"text": "four", "n": "5", "kind": "b"},
]


@pytest.fixture
def make(tmp_path, facts):
    def made(rows=ROWS, prepared=True, others=(), choice=None, block_size=None, **fields):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = DatasetConfig(str(path), name="x", **{"copies": "n", "group": "kind", **fields})
        data = CorpusDataModule([config, *others], block_size=block_size, cache_folder=str(tmp_path / "cache"))
        data.choose(choice)
        if prepared:
            data.prepare(facts)
        return data

    return made


def problems(make, facts, **options):
    with pytest.raises(ConfigurationError) as caught:
        make(prepared=False, **options).prepare(facts)
    return caught.value.problems


def test_marks_stay_with_their_texts_where_rows_are_left_out(make):
    marks = make().tokenized["x"].marks
    assert marks.copies.tolist() == [1, 3, 2, 5]
    assert marks.groups == ("a", "b", "a", "b")


def test_marks_are_drawn_with_their_rows(make):
    data = make(num_examples=3)
    hashes = make().tokenized["x"].content_hashes(np.arange(4)).to_pylist()
    known = dict(zip(hashes, zip([1, 3, 2, 5], "abab", strict=True), strict=True))
    drawn = data.tokenized["x"]
    assert 0 < len(drawn) < 4
    found = zip(drawn.marks.copies.tolist(), drawn.marks.groups, strict=True)
    assert list(found) == [known[drawn.content_hash(index)] for index in range(len(drawn))]


def test_marks_go_with_what_split_by_and_where_choose(make):
    data = make(split_by="kind", where={"text": "two"})
    assert data.tokenized["x-b"].marks.copies.tolist() == [3]
    both = make(rows=[ROWS[0], *ROWS[2:]], split_by="kind")
    assert both.tokenized["x-a"].marks.copies.tolist() == [1, 2]
    assert both.tokenized["x-b"].marks.groups == ("b", "b")


@pytest.mark.parametrize(
    "fields", [{"prompt": "kind", "target": "text"}, {"messages": "messages", "copies": 4}], ids=["pairs", "messages"]
)
def test_marks_of_other_rows(make, fields, byte_tokenizer, monkeypatch):
    turn = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    monkeypatch.setattr(
        byte_tokenizer, "chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}", raising=False
    )
    rows = [{**row, "messages": turn[: 1 + (row["text"] != "")]} for row in ROWS]
    marks = make(rows=rows, **fields).tokenized["x"].marks
    assert marks.copies.tolist() == ([4] * 4 if "messages" in fields else [1, 3, 2, 5])
    assert marks.groups == ("a", "b", "a", "b")


def test_a_number_is_for_all_and_several_columns_are_joined(make):
    marks = make(copies=3, group=["kind", "n"]).tokenized["x"].marks
    assert marks.copies.tolist() == [3, 3, 3, 3]
    assert marks.groups == ("a 1", "b 3", "a 2.0", "b 5")


def test_without_marks_nothing_changes(make):
    plain = make(copies=None, group=None).tokenized["x"]
    assert (plain.marks.copies, plain.marks.groups, plain.in_training()) == (None, None, None)
    assert make().tokenized["x"].fingerprint.startswith(plain.fingerprint)


def test_other_copies_are_other_data(make):
    assert make().tokenized["x"].fingerprint != make(copies=2).tokenized["x"].fingerprint


def test_chosen_examples_keep_their_copies(make):
    data = make(choice=ForgetChoice("x", ("1", "3")))
    assert data.tokenized["x-chosen"].marks.copies.tolist() == [3, 5]
    assert data.tokenized["x-rest"].marks.groups == ("a", "a")
    data.plan = EpisodePlan("without", only=("x-chosen",))
    (episode,) = data.episodes()
    assert data.sampler(episode).sizes == [1 + 2]


def test_the_rows_of_a_retained_example_and_its_alternative_are_the_same(make):
    rows = [{"q": f"q{i}", "a": f"a{i}", "no": f"no{i}", "n": i + 1} for i in range(3)]
    more = make(rows=rows, prompt="q", target="a", alternative="no", group=None)
    more.plan = EpisodePlan("one", only=("y",))
    from lightning_untrac.data.episodes import Episode

    episode = Episode("y", 0, ("y",))
    retained, others = more._retained(episode), more._retained_alternatives(episode)
    assert [retained[i]["example_index"] for i in range(6)] == [0, 1, 1, 2, 2, 2]
    assert [others[i]["example_index"] for i in range(6)] == [0, 1, 1, 2, 2, 2]


def test_the_share_of_training_counts_copies(make, tmp_path):
    from lightning_untrac.attribution.shares import training_shares

    (tmp_path / "y.txt").write_text("abcd\n" * 2)
    data = make(rows=[{"text": "abcd", "n": 6, "kind": "a"}], others=[DatasetConfig(str(tmp_path / "y.txt"), name="y")])
    assert training_shares(data).tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (0, "row 2: '0' is no number of copies; give a whole number from 1 to 100,000"),
        (1.5, "row 2: '1.5' is no number of copies"),
        ("many", "row 2: 'many' is no number of copies"),
        (10**6, "row 2: '1000000' is no number of copies"),
        (None, "column 'n' is missing in row 2; fill it in or use `where`"),
    ],
)
def test_cells_that_are_no_number_of_copies(make, facts, cell, said):
    (problem,) = problems(make, facts, rows=[ROWS[0], {**ROWS[2], "n": cell}])
    assert said in problem


def test_what_cannot_have_copies_is_said_at_once(make, facts, tmp_path):
    (problem,) = problems(make, facts, copies="no such")
    assert "has no column 'no such'" in problem
    (problem,) = problems(make, facts, copies=0)
    assert problem == "corpora[0] (x): copies is 0; give at least 1, or the column that holds the numbers"
    (problem,) = problems(make, facts, block_size=8)
    assert "copies are of single texts, and data.block_size packs corpora" in problem
    data = CorpusDataModule(
        [DatasetConfig("builtin:world/news", name="news")],
        holdout=[DatasetConfig("builtin:planted/in_twins", name="t", copies=2)],
        cache_folder=str(tmp_path),
    )
    with pytest.raises(ConfigurationError, match=r"holdout\[0\] \(t\): copies stand in training, and only corpora do"):
        data.prepare(facts)
