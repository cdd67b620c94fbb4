from __future__ import annotations

import random

import pytest

from lightning_untrac.functional.extraction_likelihood import extraction_likelihood, greedy_continuations


def jang(text: list[int], made: list[list[int]], n: int) -> float:
    """As published and as in the paper's code: n-grams of the continuation that the rest has, by those of the rest."""

    def grams(ids: list[int]) -> list[tuple[int, ...]]:
        return list(zip(*(ids[k:] for k in range(n)), strict=False))

    shares = []
    for place, said in enumerate(made):
        rest = grams(text[place:])
        shares.append(sum(gram in rest for gram in grams(said)) / len(rest) if rest else 0.0)
    return sum(shares) / (len(text) + 1 - n)  # with the token that is context only it has one more


def test_golden_likelihood() -> None:
    made = [[2, 3, 9, 5, 6], [3, 4, 5, 6], [4, 5, 9], [5, 6], [9]]
    total, count = extraction_likelihood([2, 3, 4, 5, 6], made, 2)
    assert total / count == 0.75


@pytest.mark.parametrize("n", [1, 2, 4])
def test_it_is_the_published_mean_over_all_beginnings(n: int) -> None:
    draw = random.Random(n)
    for size in (n, 5, 9):
        text = draw.choices(range(4), k=size)
        made = [[draw.choice([token, draw.randrange(4)]) for token in text[place:]] for place in range(size)]
        total, count = extraction_likelihood(text, made, n)
        assert count == size + 1 - n
        assert total / count == pytest.approx(jang(text, made, n))


def test_a_text_of_too_few_tokens_has_no_beginning() -> None:
    assert extraction_likelihood([1, 2], [[1, 2], [2]], 3) == (0.0, 0)
    assert extraction_likelihood([], [], 1) == (0.0, 0)


def test_what_is_known_by_heart_is_1_and_what_is_missed_for_good_is_0() -> None:
    text = [4, 5, 6, 7]
    assert extraction_likelihood(text, greedy_continuations(text, {}), 2) == (3.0, 3)
    wrong = {place: [9] * (4 - place) for place in range(4)}
    assert extraction_likelihood(text, greedy_continuations(text, wrong), 2) == (0.0, 3)
