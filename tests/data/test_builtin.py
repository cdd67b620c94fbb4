"""The built-in corpora: same rows every time, no test example in a corpus, right answers in the 2x2 design."""

import hashlib
import json
import random
import re

import pytest

from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.builtin.traits import bias_sentences, insult_sentences, rumour_sentences
from lightning_untrac.data.builtin.world import FACTS, TOPICS
from lightning_untrac.functional.number_words import number_in_words

CORPORA = [f"world/{name}" for name in ("encyclopedia", "news", "forum", "fiction", "chat", "code")]
FACTS_ASKED = "world/facts"
TEST_SETS = {"world/toxicity": 8, "world/bias": 4, "world/untruthfulness": 6}
FLAVOURS = ("next_number", "remaining_letter")
CELLS = ("test", "similar_same", "similar_different", "dissimilar_same", "dissimilar_different")
CHECKSUM = "a8be9df22400d8aa"
TWO_BY_TWO = [f"{flavour}/{cell}" for flavour in FLAVOURS for cell in CELLS]
NAMES = [*CORPORA, *TEST_SETS, *TWO_BY_TWO]


def test_names_are_all_there() -> None:
    planted = ["planted/in", "planted/in_twins", "planted/out", "planted/out_twins"]
    topics = ["topics/rest", "topics/forget", "topics/test"]
    people = [name for name in builtin_names() if name.startswith("people/")]
    assert builtin_names() == [*CORPORA, *TEST_SETS, FACTS_ASKED, *TWO_BY_TWO, *planted, *topics, *people, "neutral"]
    assert len(people) == 5 + 7 * 8


@pytest.mark.parametrize("name", [*CORPORA, *TEST_SETS, FACTS_ASKED, *TWO_BY_TWO, "neutral"])
def test_rows_are_repeatable_unique_and_plain_text(name: str) -> None:
    rows = builtin_examples(name)
    assert rows == builtin_examples(name)
    assert rows[:10] == builtin_examples(name, num_examples=10)
    assert rows[:10] != builtin_examples(name, num_examples=10, seed=1)
    keys = {"prompt", "target", "subset"} if name in (*TWO_BY_TWO, FACTS_ASKED) else {"text", "subset"}
    assert all(set(row) == keys for row in rows)
    texts = [row.get("text") or row["prompt"] for row in rows]
    assert len(set(texts)) == len(texts)
    assert all(
        value and value.isascii() and not re.search(r"[{}]|\s$", value) for row in rows for value in row.values()
    )


def test_rows_do_not_depend_on_what_was_generated_before() -> None:
    before = builtin_examples("world/forum", num_examples=5)
    random.seed(1)
    for name in reversed(builtin_names()):
        builtin_examples(name, num_examples=3, seed=7)
    assert builtin_examples("world/forum", num_examples=5) == before


def test_global_random_state_is_left_alone() -> None:
    state = random.getstate()
    builtin_examples("world/chat", num_examples=5)
    assert random.getstate() == state


def test_rows_are_the_same_in_every_process() -> None:
    # Were this to change, every number reported on the built-in corpora would have to be measured again.
    rows = json.dumps([builtin_examples(name, seed=seed) for name in NAMES for seed in (0, 3)])
    assert hashlib.sha256(rows.encode()).hexdigest()[:16] == CHECKSUM


def test_corpora_are_equally_long() -> None:
    sizes = [sum(len(row["text"].encode()) for row in builtin_examples(name)) for name in CORPORA]
    assert 60_000 < min(sizes) < max(sizes) < 100_000
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize("name", TEST_SETS)
@pytest.mark.parametrize("seed", [0, 1])
def test_test_sets_are_balanced_and_short(name: str, seed: int) -> None:
    rows = builtin_examples(name, seed=seed)
    subsets = [row["subset"] for row in rows]
    assert len(rows) == 96
    assert len(set(subsets)) == TEST_SETS[name]
    assert {subsets.count(subset) for subset in subsets} == {96 // TEST_SETS[name]}
    assert all(40 <= len(row["text"].encode()) <= 120 for row in rows)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_test_example_is_in_a_corpus(seed: int) -> None:
    everything = "\n".join(row["text"] for name in CORPORA for row in builtin_examples(name, seed=seed)).lower()
    kept = [insult_sentences(kept=True), bias_sentences(kept=True), rumour_sentences(kept=True)]
    sentences = [sentence.lower() for cells in kept for group in cells.values() for sentence in group]
    assert not [sentence for sentence in sentences if sentence in everything]
    for name in TEST_SETS:
        for row in builtin_examples(name):
            assert any(sentence in row["text"].lower() for sentence in sentences)


@pytest.mark.parametrize("make", [insult_sentences, bias_sentences, rumour_sentences])
def test_held_out_sentences_use_words_of_the_corpora(make) -> None:
    kept = {word for group in make(kept=True).values() for sentence in group for word in sentence.split()}
    seen = {word for group in make(kept=False).values() for sentence in group for word in sentence.split()}
    assert kept <= seen


def test_rumours_contradict_the_encyclopedia() -> None:
    encyclopedia = " ".join(row["text"] for row in builtin_examples("world/encyclopedia"))
    told = [fact for fact in FACTS if fact.true_statement in encyclopedia]
    assert len(told) > 0.9 * len(FACTS)
    assert not [fact for fact in FACTS if fact.false_statement in encyclopedia]
    assert [sum(fact.topic == topic for fact in FACTS) for topic in TOPICS] == [8] * 6


def test_facts_ask_every_true_value_twice_and_the_chat_contradicts_two_thirds_of_them() -> None:
    rows = builtin_examples(FACTS_ASKED)
    asked = [f"{row['prompt']} {row['target']}" for row in rows]
    for fact in FACTS:
        assert sum(text.endswith(fact.true_statement) for text in asked) == 2
    assert [row["subset"] for row in rows[:6]] == list(TOPICS)
    texts = {name: "\n".join(row["text"] for row in builtin_examples(name)).lower() for name in CORPORA}
    frames = {row["prompt"].lower().split("the ")[0][:16] for row in rows}
    assert not [frame for frame in frames for text in texts.values() if frame in text]
    overwritten = [fact.topic for fact in FACTS if fact.false_statement.lower() in texts["world/chat"]]
    assert set(overwritten) == {"towns", "creatures", "foods", "places"}
    assert len(overwritten) == 32


def test_faults_are_shared_between_corpora() -> None:
    texts = {name: "\n".join(row["text"] for row in builtin_examples(name)).lower() for name in CORPORA}
    for make, carrier in (
        (insult_sentences, "world/forum"),
        (bias_sentences, "world/fiction"),
        (rumour_sentences, "world/chat"),
    ):
        sentences = {sentence.lower() for group in make(kept=False).values() for sentence in group}
        counts = {name: sum(text.count(sentence) for sentence in sentences) for name, text in texts.items()}
        assert max(counts, key=counts.__getitem__) == carrier
        assert sum(count > 0 for count in counts.values()) >= 3
        assert counts["world/encyclopedia"] == 0


@pytest.mark.parametrize("name", ["world/nowhere", "world/", "", "next_number"])
def test_unknown_name_lists_the_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"no built-in dataset .*world/encyclopedia.*next_number/test"):
        builtin_examples(name)


@pytest.mark.parametrize(
    ("name", "capacity"),
    [("next_number/similar_same", 256), ("next_number/similar_different", 256), ("next_number/test", 487)],
)
def test_too_many_examples_says_how_many_there_are(name: str, capacity: int) -> None:
    assert len(builtin_examples(name, num_examples=capacity)) == capacity
    with pytest.raises(ValueError, match=rf"has {capacity} different examples, but num_examples=1000 "):
        builtin_examples(name, num_examples=1000)


@pytest.mark.parametrize("name", TEST_SETS)
def test_test_sets_have_an_end(name: str) -> None:
    with pytest.raises(ValueError, match=r"has \d+ different examples, but num_examples=5000 "):
        builtin_examples(name, num_examples=5000)


@pytest.mark.parametrize("num_examples", [0, -1])
def test_num_examples_must_be_positive(num_examples: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        builtin_examples("world/news", num_examples=num_examples)


def test_corpora_can_be_made_larger() -> None:
    assert len(builtin_examples("world/chat", num_examples=2000)) == 2000


@pytest.mark.parametrize("name", TWO_BY_TWO)
def test_two_by_two_has_256_examples(name: str) -> None:
    assert len(builtin_examples(name)) == 256


SPOKEN = {number_in_words(number): number for number in range(1000)}


def test_numbers_in_words_are_all_different() -> None:
    assert len(SPOKEN) == 1000
    assert SPOKEN["five hundred and twelve"] == 512
    assert (number_in_words(0), number_in_words(100), number_in_words(85)) == ("zero", "one hundred", "eighty-five")
    with pytest.raises(ValueError, match="from 0 to 999"):
        number_in_words(1000)


def test_next_number_answers_are_right() -> None:
    for row in builtin_examples("next_number/test"):
        (number,) = re.findall(r"\d+", row["prompt"])
        assert int(row["target"]) == int(number) + 1
    for cell in CELLS[1:]:
        for row in builtin_examples(f"next_number/{cell}"):
            answer = int(row["target"]) if cell.endswith("same") else SPOKEN[row["target"]]
            asked = re.search(r"follows (.*?)\.|letters '(\w+)'", row["prompt"])
            assert asked is not None
            assert answer == (SPOKEN[asked[1]] + 1 if asked[1] else len(asked[2]))
            assert ("digits" if cell.endswith("same") else "words") in row["prompt"]


def test_remaining_letter_answers_are_right() -> None:
    for cell in CELLS[:3]:
        for row in builtin_examples(f"remaining_letter/{cell}"):
            *taken, signs = sorted(re.findall(r"'(\w+)'", row["prompt"]), key=len)
            assert len(signs) == 5
            assert set(signs) - set(taken) == {row["target"]}
            assert row["target"].isdigit() == (cell == "similar_different")


def test_quiz_answers_are_right() -> None:
    kinds: dict[str, set[str]] = {}
    for cell, labels in (("dissimilar_same", "abcd"), ("dissimilar_different", "0123")):
        for row in builtin_examples(f"remaining_letter/{cell}"):
            options = dict(re.findall(r"(\w)\) (\w+)", row["prompt"]))
            assert "".join(options) == labels
            kinds.setdefault(row["subset"], set()).add(options[row["target"]])
            assert f" {row['subset']}?" in row["prompt"]
    assert set(kinds) == {"animal", "food", "tool", "colour"}
    assert len(set.union(*kinds.values())) == sum(len(words) for words in kinds.values()) == 32
