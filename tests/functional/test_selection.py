"""Which texts a step of selective ascent takes."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.selection import selected


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.9, 0.65, 0.4, 0.72], [0, 3]), ([0.5, 0.65, 0.4, 0.2], [1]), ([0.7, 0.2], [0]), ([0.3, 0.6, 0.6], [1])],
)
def test_golden_selections(accuracies: list[float], expected: list[int]) -> None:
    assert np.flatnonzero(selected(np.array(accuracies), 0.7)).tolist() == expected


def test_it_is_what_the_authors_loop_takes() -> None:
    """Their code adds the most memorised one to those at the threshold; where there are any it is one of them."""
    chance = np.random.default_rng(0)
    for _ in range(200):
        accuracies, threshold = chance.integers(0, 11, chance.integers(1, 9)) / 10, chance.uniform()
        loop = {i for i, accuracy in enumerate(accuracies) if accuracy >= threshold} | {int(accuracies.argmax())}
        assert set(np.flatnonzero(selected(accuracies, threshold)).tolist()) == loop


def test_texts_without_an_accuracy_are_never_taken() -> None:
    assert selected(np.array([np.nan, 0.2, np.nan]), 0.7).tolist() == [False, True, False]
    assert selected(np.array([np.nan, np.nan]), 0.0).tolist() == [False, False]
