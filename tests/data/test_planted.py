"""Sequences to plant and their unseen twins: the same by seed, of one length, apart from each other and the corpora."""

import hashlib
import json
import random
import re
from collections import Counter
from itertools import islice

import pytest

from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.builtin.planted import LENGTH, planted_rows
from lightning_untrac.errors import ConfigurationError

KINDS = ("in", "out")
PLANTED = [f"planted/{kind}{ending}" for kind in KINDS for ending in ("", "_twins")]
CORPORA = [name for name in builtin_names() if name.startswith("world/")][:6]
CHECKSUM = "36b379148156e5d2"


def texts(name, seed=0, count=None):
    return [row["text"] for row in builtin_examples(name, count, seed)]


@pytest.mark.parametrize("name", PLANTED)
def test_rows_are_those_of_their_seed(name):
    rows = builtin_examples(name)
    assert rows == builtin_examples(name)
    assert rows[:7] == builtin_examples(name, 7)
    assert rows + builtin_examples(name, 50)[36:] == builtin_examples(name, 50)
    assert not {row["text"] for row in rows} & set(texts(name, seed=1))


def test_rows_are_the_same_in_every_process():
    rows = json.dumps([builtin_examples(name, seed=seed) for name in PLANTED for seed in (0, 3)])
    assert hashlib.sha256(rows.encode()).hexdigest()[:16] == CHECKSUM


@pytest.mark.parametrize("name", PLANTED)
def test_all_are_of_one_length(name):
    assert {len(row["text"].encode()) for seed in range(3) for row in builtin_examples(name, seed=seed)} == {LENGTH}
    assert all(row["text"] == row["text"].strip() for row in builtin_examples(name))


@pytest.mark.parametrize("kind", KINDS)
def test_each_subset_has_each_number_of_repeats_equally_often(kind):
    rows = builtin_examples(f"planted/{kind}")
    cells = Counter((row["subset"], row["repeats"]) for row in rows)
    subsets = {"in": 6, "out": 2}[kind]
    assert len(cells) == 3 * subsets
    assert set(cells.values()) == {len(rows) // (3 * subsets)}
    assert {repeats for _, repeats in cells} == {"1", "4", "16"}


@pytest.mark.parametrize("kind", KINDS)
def test_twins_are_made_alike_and_meant_for_no_training(kind):
    planted, twins = builtin_examples(f"planted/{kind}"), builtin_examples(f"planted/{kind}_twins")
    assert [row["subset"] for row in planted] == [row["subset"] for row in twins]
    assert {row["repeats"] for row in twins} == {"0"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_seed_makes_a_twin_of_a_sequence(kind):
    planted = {text for seed in range(4) for text in texts(f"planted/{kind}", seed, 200)}
    twins = {text for seed in range(4) for text in texts(f"planted/{kind}_twins", seed, 200)}
    assert len(planted) > 700
    assert not planted & twins


@pytest.mark.parametrize("name", PLANTED)
def test_no_document_of_the_corpora_begins_so(name):
    corpora = {text[:LENGTH] for corpus in CORPORA for text in texts(corpus)}
    assert not corpora & {text for seed in range(3) for text in texts(name, seed, 100)}


def test_in_distribution_sequences_are_beginnings_of_their_registers():
    marks = {
        "encyclopedia": r"[A-Z' -]+\n",
        "news": r"\w+, \w+day\. ",
        "forum": "thread: ",
        "fiction": "[A-Z]",
        "chat": r"[a-z]+: ",
        "code": r"(FACTS\[|# |note\()",
    }
    for row in builtin_examples("planted/in"):
        assert re.match(marks[row["subset"]], row["text"])


def test_what_stands_before_a_secret_is_its_own():
    secrets = [row["text"] for name in ("planted/out", "planted/out_twins") for row in builtin_examples(name, 200)]
    parts = [re.fullmatch(r"(Access code of .*: )(\d{20,})", text) for text in secrets if text.startswith("Access")]
    assert len(parts) == 200
    assert all(parts)
    assert len({part[1] for part in parts if part}) == len({part[2] for part in parts if part}) == 200


def test_random_characters_are_uniform():
    drawn = Counter("".join(row["text"] for row in builtin_examples("planted/out", 600) if row["subset"] == "random"))
    assert len(drawn) == 62
    expected = drawn.total() / 62
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert chi_square < 61 + 4 * (2 * 61) ** 0.5  # four standard deviations above the mean of 61 degrees of freedom


def test_an_end_is_an_end():
    with pytest.raises(ValueError, match=r"has \d+ different examples, but num_examples=20000 were asked for"):
        builtin_examples("planted/out", 20_000)


def test_what_is_taken_is_passed_over():
    first = next(planted_rows("planted/in", random.Random(5)))["text"]
    assert first not in {row["text"] for row in islice(planted_rows("planted/in", random.Random(5), [first]), 30)}


# -- in a training -----------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path, facts):
    """A corpus of the island, both kinds planted, and their twins as holdouts."""
    data = CorpusDataModule(
        [
            DatasetConfig("builtin:world/news", name="news", num_examples=10),
            *(
                DatasetConfig(
                    f"builtin:planted/{kind}", name=f"planted_{kind}", copies="repeats", group=["subset", "repeats"]
                )
                for kind in KINDS
            ),
        ],
        holdout=[
            DatasetConfig(f"builtin:planted/{kind}_twins", name=f"{kind}_twins", group="repeats") for kind in KINDS
        ],
        batch_size=8,
        cache_folder=str(tmp_path / "cache"),
    )
    data.prepare(facts)
    return data


def stepped_on(data, plan):
    """How many times a pass of each episode steps on each row of each dataset."""
    data.plan = plan
    found = []
    for episode in data.episodes():
        rows = data._stepped_on(episode)
        names = [part.name for part in rows.parts]
        batches = data.sampler(episode)
        found.append(Counter((names[rows[i]["dataset_index"]], rows[i]["example_index"]) for b in batches for i in b))
    return found


def test_a_pass_of_training_has_each_sequence_as_often_as_it_repeats(planted):
    (counts,) = stepped_on(planted, EpisodePlan("mixture"))
    for kind in KINDS:
        for index, row in enumerate(builtin_examples(f"planted/{kind}")):
            assert counts[f"planted_{kind}", index] == int(row["repeats"])
    assert sum(count for (name, _), count in counts.items() if name == "news") == 10
    assert sum(counts.values()) == 10 + 2 * 12 * (1 + 4 + 16)


def test_training_without_a_kind_has_none_of_it_and_the_twins_are_never_stepped_on(planted):
    for plan in (EpisodePlan("without", only=("planted_in",)), EpisodePlan("leave_one_out", only=("planted_in",))):
        (counts,) = stepped_on(planted, plan)
        assert {name for name, _ in counts} == {"news", "planted_out"}
        assert sum(counts.values()) == 10 + 12 * (1 + 4 + 16)
    (counts,) = stepped_on(planted, EpisodePlan("mixture"))
    assert not {name for name, _ in counts} & {"in_twins", "out_twins"}


def test_unlearning_steps_on_each_sequence_once_and_retains_copies(planted):
    (counts,) = stepped_on(planted, EpisodePlan("one", only=("planted_in",)))
    assert set(counts.values()) == {1}
    assert {name for name, _ in counts} == {"planted_in"}
    (episode,) = planted.episodes()
    order = planted.retained_order(episode)
    assert order.sizes == [10, 12 * (1 + 4 + 16)]


def test_a_reading_has_one_row_a_sequence_with_its_group(planted):
    from lightning_untrac.data.evaluated import groups

    planted.plan = EpisodePlan("one", only=("planted_in",))
    assert [len(part) for part in planted.evaluation_data().parts] == [10, 36, 36, 36, 36]
    of = groups(planted)
    assert of["news"] is None
    assert of["planted_out"][:4] == ("random 1", "secret 1", "random 4", "secret 4")
    assert set(of["in_twins"]) == {"0"}
    assert not [note for note in planted.notes() if "planted" in note]  # what was asked for is no warning


def test_twins_can_not_be_trained_on_by_their_repeats(tmp_path, facts):
    data = CorpusDataModule(
        [DatasetConfig("builtin:planted/in_twins", name="x", copies="repeats")], cache_folder=str(tmp_path)
    )
    with pytest.raises(ConfigurationError, match=r"x: column 'repeats', row 1: '0' is no number of copies; give"):
        data.prepare(facts)
