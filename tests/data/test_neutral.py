"""Neutral prompts, and which of them are left beside a text that is forgotten."""

from __future__ import annotations

from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.neutral import apart_from, content_words, is_question, neutral_prompts


def test_what_ships_is_diverse_and_holds_each_prompt_once() -> None:
    prompts = neutral_prompts()
    assert len(prompts) == len(set(prompts)) >= 60
    questions = [prompt for prompt in prompts if is_question(prompt)]
    # Both halves, which are every second prompt, hold questions and openings.
    for half in (prompts[::2], prompts[1::2]):
        assert 10 < sum(map(is_question, half)) < len(half) - 5
    assert len(questions) > 30
    words = [content_words(prompt) for prompt in prompts]
    alike = [(a & b) for i, a in enumerate(words) for b in words[:i] if len(a & b) > 1]
    assert not alike  # no two prompts are about the same


def test_a_prompt_about_the_same_subject_is_left_out() -> None:
    prompts = neutral_prompts()
    left = apart_from(prompts, ["What do BEES collect?", "rivers"])
    gone = set(prompts) - set(left)
    assert "What do bees collect from flowers?" in gone
    assert "The river ran down from the hills and" in gone
    assert "What is seven plus five?" in left  # shares only `what` and `is`
    assert apart_from(prompts, ["What is the capital of France?"]) == list(prompts)


def test_neutral_texts_are_a_dataset_of_plain_sentences_about_unlike_things() -> None:
    texts = [row["text"] for row in builtin_examples("neutral")]
    assert len(texts) == len(set(texts)) == 30
    assert {row["text"] for row in builtin_examples("neutral", seed=4)} == set(texts)
    assert all(20 <= len(text.split()) <= 50 and text.endswith(".") for text in texts)
    words = [content_words(text) for text in texts]
    assert max(len(a & b) for i, a in enumerate(words) for b in words[:i]) <= 4


def test_neutral_texts_share_no_run_of_five_words_with_a_built_in_dataset() -> None:
    def runs(text: str) -> set[str]:
        words = text.lower().split()
        return {" ".join(words[begin : begin + 5]) for begin in range(len(words) - 4)}

    neutral = {run for row in builtin_examples("neutral") for run in runs(row["text"])}
    assert len(neutral) > 800
    for name in builtin_names():
        if name == "neutral":
            continue
        for row in builtin_examples(name):
            said = " ".join(str(row.get(column, "")) for column in ("text", "prompt", "target"))
            assert not runs(said) & neutral, name
