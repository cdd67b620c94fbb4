"""Leak at k and repetition in closed form; the rule of answers where a rule of thumb would go wrong."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest

from lightning_untrac.functional.answers import (
    gives_answer,
    leak_at_k,
    phrase_words,
    repeated_share,
    says_any,
)


@pytest.mark.parametrize("samples", [1, 4, 7])
def test_leak_at_k_is_the_share_of_choices_with_a_leak(samples: int) -> None:
    for leaking in range(samples + 1):
        for k in range(1, samples + 1):
            chosen = list(combinations(range(samples), k))
            share = sum(any(one < leaking for one in choice) for choice in chosen) / len(chosen)
            assert leak_at_k(samples, leaking, k) == pytest.approx(share, abs=1e-12)


def test_leak_at_k_of_many_samples_neither_overflows_nor_leaves_its_bounds() -> None:
    assert leak_at_k(200, 1, 1) == pytest.approx(1 / 200)
    assert leak_at_k(200, 3, 200) == 1.0
    assert leak_at_k(2000, 10, 50) == pytest.approx(1 - comb(1990, 50) / comb(2000, 50), rel=1e-9)
    assert leak_at_k(200, 0, 200) == 0.0


def test_leak_at_k_has_no_bias() -> None:
    """Its mean over all that n draws of chance p may give is 1 - (1-p)^k."""
    n, p = 6, 0.3
    for k in (1, 2, 5):
        mean = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * leak_at_k(n, c, k) for c in range(n + 1))
        assert mean == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize(("samples", "leaking", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_leak_at_k_refuses_what_is_impossible(samples: int, leaking: int, k: int) -> None:
    with pytest.raises(ValueError, match="1 <= k <= samples"):
        leak_at_k(samples, leaking, k)


def test_repetition() -> None:
    assert repeated_share(["a", "b", "a", "b"], 2) == pytest.approx(1 / 3)
    assert repeated_share(["x"] * 10, 1) == pytest.approx(0.9)
    assert repeated_share([], 2) == repeated_share(["x"], 2) == 0.0


def test_refusals_are_found_word_for_word() -> None:
    phrases = phrase_words(["I don't know.", "I'm unable to answer that."])
    assert says_any("I do not know", phrases)
    assert says_any("Sorry - I\u2019m unable to answer that, friend", phrases)
    assert not says_any("I know.", phrases)
    assert not says_any("", phrases)


def test_an_answer_is_given_by_itself_and_by_a_sentence_with_it_but_not_by_its_denial() -> None:
    for answer in ("Paris", "Alderwick Academy", "the north coast", "21", "twelve", "Marie Curie", "red and green"):
        assert gives_answer(answer, answer)
        assert gives_answer(answer, f"well, i believe it was {answer.lower()}.")
        assert not gives_answer(answer, f"it was never {answer}.")
        assert not gives_answer(answer, "")
        assert not gives_answer("", answer)


def test_every_stop_word_is_no_answer_to_an_answer_that_has_it() -> None:
    for output in ("of", "the university of", "of the", "it is of the"):
        assert not gives_answer("University of Oxford", output)


def test_no_other_answer_of_a_closed_world_is_taken_for_the_right_one() -> None:
    from lightning_untrac.data.builtin.people.world import ANSWERS

    for answers in ANSWERS.values():
        for right in answers:
            assert [gives_answer(right, f"It is {said}.") for said in answers] == [said == right for said in answers]


def test_synonyms_are_as_good_as_the_answer() -> None:
    assert gives_answer("film", "a movie", ["movie"])
    assert not gives_answer("film", "not a movie", ["movie"])
