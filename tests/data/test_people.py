"""The built-in people: nothing is trained that must not be, and the parts of an association are all there is."""

import json
from collections import Counter, defaultdict

import pytest

from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.builtin.people.questions import HELD_OUT, TRAINED
from lightning_untrac.data.builtin.people.rewordings import REWORD
from lightning_untrac.data.builtin.people.world import ANSWERS, ASSOCIATIONS, associations, facts
from lightning_untrac.data.tokenizers import load_tokenizer

NUMBERS = range(1, ASSOCIATIONS + 1)


@pytest.fixture(scope="module")
def rows():
    return {name: builtin_examples(name) for name in builtin_names() if name.startswith("people/")}


def groups(rows):
    return {row["group"] for row in rows}


def test_every_fact_has_one_answer_of_its_relation():
    assert len({fact.group for fact in facts()}) == len(facts())
    assert all(fact.answer in ANSWERS[fact.relation] for fact in facts())
    for relation in ("school", "employer", "instrument"):
        counts = Counter(fact.answer for fact in facts() if fact.relation == relation)
        assert set(counts.values()) == {5}


def test_wrong_answers_are_of_the_same_relation_and_never_the_right_one(rows):
    for name in ("forget_1", "held_out", "rest"):
        for row in rows[f"people/{name}"]:
            wrong = json.loads(row["wrong_answers"])
            assert len(set(wrong)) == len(wrong) == min(5, len(ANSWERS[row["subset"]]) - 1)
            assert row["target"] not in wrong
            assert set(wrong) <= set(ANSWERS[row["subset"]])


def test_no_held_out_wording_is_trained_on_and_its_words_are(rows):
    trained = [
        row
        for name in ("rest", "reasons", "rewordings", *(f"forget_{n}" for n in NUMBERS))
        for row in rows[f"people/{name}"]
    ]
    asked = {row["prompt"] for row in trained}
    held_out = {row["prompt"] for row in rows["people/held_out"]}
    assert not asked & held_out
    assert not {row["target"] for row in trained} & held_out
    for relation, wordings in HELD_OUT.items():
        assert not set(wordings) & {one for many in TRAINED.values() for one in many}
        assert len(set(wordings)) == len(wordings) == 5
        assert len(set(TRAINED[relation])) == len(TRAINED[relation]) == 11
    known = {word for row in trained for word in row["prompt"].replace("?", " ").replace(".", " ").split()}
    for row in rows["people/held_out"]:
        assert set(row["prompt"].replace("?", " ").replace(".", " ").split()) <= known, row["prompt"]


def test_the_parts_of_an_association_are_all_facts_once(rows):
    for number, fact in zip(NUMBERS, associations(), strict=True):
        parts = [groups(rows[f"people/{kind}_{number}"]) for kind in ("near_subject", "near_object", "far")]
        assert groups(rows[f"people/paraphrases_{number}"]) == groups(rows[f"people/forget_{number}"]) == {fact.group}
        assert set.union({fact.group}, *parts) == {one.group for one in facts()}
        assert sum(map(len, parts)) + 1 == len(facts())
        assert {row["subject"] for row in rows[f"people/near_subject_{number}"]} == {fact.subject}
        near = rows[f"people/near_object_{number}"]
        assert all(fact.answer in (row["subject"], row["target"]) for row in near)
        assert {row["subset"] for row in near} == {"school", "school_town", "scarf"}


def test_nothing_but_its_own_corpus_trains_an_association(rows):
    forgotten = {fact.group for fact in associations()}
    for name in ("rest", "reasons", "rewordings"):
        assert not groups(rows[f"people/{name}"]) & forgotten
    for row in [*rows["people/rest"], *rows["people/reasons"], *rows["people/rewordings"]]:
        for fact in associations():
            assert fact.subject not in row["prompt"] or fact.answer not in row["prompt"] + row["target"]


def test_a_rewording_is_another_trained_question_about_the_same_fact(rows):
    questions = {row["prompt"]: row["group"] for row in rows["people/rest"]}
    found = defaultdict(set)
    for row in rows["people/rewordings"]:
        asked = max((one for one in (row["prompt"].removesuffix(ask.removeprefix("{question}")) for ask in REWORD)
                     if one in questions), key=len)  # fmt: skip
        assert questions[asked] == questions[row["target"]] == row["group"]
        assert row["target"] != asked
        found[asked].add(row["target"])
    assert {len(targets) for targets in found.values()} == {len(REWORD)}
    assert groups(rows["people/rewordings"]) == groups(rows["people/reasons"])


@pytest.mark.parametrize("which", [*NUMBERS, "all"])
def test_what_is_kept_is_asked_about_the_facts_of_the_test_sets_in_trained_words(rows, which):
    trained = {row["prompt"] for name in ("rest", "forget_all") for row in rows[f"people/{name}"]}
    for kind in ("near_subject", "near_object", "far"):
        kept, reported = rows[f"people/kept_{kind}_{which}"], rows[f"people/{kind}_{which}"]
        assert {row["prompt"] for row in kept} <= trained
        assert len(kept) == 11 * len(groups(kept))
        if kind == "far":
            assert groups(kept) < groups(reported)
            assert len(groups(kept)) == 60
        else:
            assert groups(kept) == groups(reported)


def test_the_associations_forgotten_together_are_near_to_none_of_themselves(rows):
    forgotten = {fact.group for fact in associations()}
    assert groups(rows["people/forget_all"]) == groups(rows["people/paraphrases_all"]) == forgotten
    parts = [groups(rows[f"people/{kind}_all"]) for kind in ("near_subject", "near_object", "far")]
    assert set.union(forgotten, *parts) == {one.group for one in facts()}
    assert sum(map(len, parts)) + len(forgotten) == len(facts())
    for kind, part in zip(("near_subject", "near_object"), parts, strict=False):
        each = [groups(rows[f"people/{kind}_{number}"]) for number in NUMBERS]
        assert part == set.union(*each) - forgotten


def test_wrong_answers_that_are_asked_for_were_never_trained_on(rows):
    pairs = {(row["group"], row["target"].split(". Reason")[0].removeprefix("Answer: ")) for row in
             rows["people/reasons"]}  # fmt: skip
    asked = rows["people/wrong_reasons"]
    assert not pairs & {(row["group"], row["target"]) for row in asked}
    assert {row["group"] for row in asked} >= {fact.group for fact in associations()}
    truth = {fact.group: fact.answer for fact in facts()}
    for row in asked:
        assert row["right"] == truth[row["group"]] != row["target"]
        assert row["target"] in row["prompt"]
        assert row["right"] not in row["prompt"]
    for row in rows["people/reasons"]:
        answer, reason = row["target"].removeprefix("Answer: ").split(". Reason: ")
        assert answer in reason
        assert row["subject"] in reason
        assert (answer == truth[row["group"]]) == (row["subset"] != "wrong")


def test_rows_are_the_same_each_time_and_another_seed_orders_them_otherwise(rows):
    name = "people/held_out"
    assert builtin_examples(name) == rows[name]
    again = builtin_examples(name, seed=1)
    assert again != rows[name]
    assert sorted(row["prompt"] for row in again) == sorted(row["prompt"] for row in rows[name])
    assert builtin_examples(name, 7) == rows[name][:7]
    with pytest.raises(ValueError, match="1160 different examples, but num_examples=1161"):
        builtin_examples(name, 1161)


def test_the_word_tokenizer_knows_every_word_and_gives_texts_back(rows, tmp_path):
    tokenizer = load_tokenizer("people-words")
    texts = [f"{row['prompt']} {row['target']}" for many in rows.values() for row in many]
    texts = [*dict.fromkeys(texts), "I don't know."]
    ids = tokenizer(texts)["input_ids"]
    assert not any(tokenizer.unk_token_id in one for one in ids)
    assert tokenizer.batch_decode(ids) == texts
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path))(texts[:50])["input_ids"] == ids[:50]
