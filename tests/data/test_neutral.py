"""Neutral prompts, and which of them are left beside a text that is forgotten."""

from __future__ import annotations

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
