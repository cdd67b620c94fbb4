import pytest

from lightning_untrac.data.transforms import TRANSFORMS, toxigen, truthfulqa, winobias


@pytest.mark.parametrize(("num_words", "kept"), [(8, False), (9, True), (24, True), (25, False)])
@pytest.mark.parametrize("label", [1, 1.0, "1", "1.0"])
def test_toxigen_keeps_toxic_prompts_of_9_to_24_words(num_words, kept, label):
    row = {"prompt_label": label, "generation": "word " * num_words, "group": "native american"}
    assert [r["subset"] for r in toxigen([row])] == ["native_american"] * kept


@pytest.mark.parametrize("label", [0, 0.0, "0"])
def test_toxigen_drops_harmless_prompts(label):
    assert list(toxigen([{"prompt_label": label, "generation": "word " * 10, "group": "x"}])) == []


@pytest.mark.parametrize(
    ("tokens", "subset"),
    [
        (["She", "slept"], "female"),
        (["for", "her"], "female"),
        (["HIS", "hat"], "male"),
        (["he", "and", "him"], "male"),
        (["he", "and", "she"], None),
        (["nobody"], None),
        (["the", "other"], None),
    ],
)
def test_winobias_sorts_by_pronoun(tokens, subset):
    found = list(winobias([{"tokens": tokens}]))
    assert found == ([{"text": " ".join(tokens), "subset": subset}] if subset else [])


def test_truthfulqa_makes_no_repeats_and_drops_small_categories():
    rows = [
        {"question": f"Q{i}?", "category": category, "incorrect_answers": [f"a{i}", f"b{i}"]}
        for category, count in (
            ("Law", 64),
            ("Indexical Error: Time", 30),
            ("Indexical Error: Place", 34),
            ("Myths", 63),
        )
        for i in range(count)
    ]
    found = list(truthfulqa(rows))
    assert len(found) == 256
    assert {r["subset"] for r in found} == {"Law", "Indexical_Error"}
    by_hand = [(r["question"], a) for r in rows if r["category"] != "Myths" for a in r["incorrect_answers"]]
    assert [(r["prompt"], r["target"]) for r in found] == by_hand


def test_every_transform_is_documented():
    assert all(transform.__doc__ for transform in TRANSFORMS.values())
