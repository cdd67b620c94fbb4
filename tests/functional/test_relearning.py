"""When what was forgotten is back, against courses in closed form, and which part is fine-tuned on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.forgetting_pace import steps_until
from lightning_untrac.functional.relearning import disjoint_part, steps_to_half, steps_to_regain
from lightning_untrac.functional.resampled import Resampled


def test_the_step_is_that_of_a_straight_line() -> None:
    steps = np.array([0.0, 1.0, 4.0, 10.0])
    assert steps_to_regain(steps, 0.1 * steps, 0.55) == pytest.approx(5.5)
    assert steps_to_regain(steps, np.array([0.0, 0.9, 0.1, 0.9]), 0.45) == pytest.approx(0.5)  # the first time
    assert steps_to_regain(steps, np.array([0.6, 0.0, 0.0, 0.0]), 0.5) == 0
    assert steps_to_regain(steps, np.array([0.0, 0.1, 0.2, 0.4]), 0.5) == math.inf
    assert math.isnan(steps_to_regain(steps, np.zeros(4), 0.0))
    assert math.isnan(steps_to_regain(steps, np.array([0.0, math.nan, 1.0, 1.0]), 0.5))


def test_it_mirrors_how_fast_a_set_was_forgotten() -> None:
    rng, steps = np.random.default_rng(0), np.arange(8.0)
    for _ in range(50):
        falling = np.r_[1.0, rng.random(7)]
        assert steps_to_regain(steps, 1 - falling, 0.5) == steps_until(steps, falling, 0.5)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
def test_groups_stay_together_and_neither_side_is_empty(share: float) -> None:
    groups = ["a", "b", "a", "c", "d", "b", "e", "e"]
    rows = disjoint_part(groups, share, seed=3)
    taken = {groups[row] for row in rows}
    assert rows == [row for row, group in enumerate(groups) if group in taken]
    assert len(taken) == min(max(1, round(share * 5)), 4)
    assert rows == disjoint_part(groups, share, seed=3)
    assert len({tuple(disjoint_part(groups, share, seed)) for seed in range(20)}) > 1
    assert disjoint_part(["a", "a"], share, 0) == []


def test_half_is_counted_from_what_the_control_knows_in_any_direction() -> None:
    steps = np.array([0.0, 1.0, 2.0, 4.0])
    rng = np.random.default_rng(0)

    def course(values: list[float]) -> list[Resampled]:
        return [Resampled(value, value + moves) for value in values]

    moves = rng.normal(size=50)  # what moves all models alike moves no step
    start, original = Resampled(0.2, 0.2 + moves), Resampled(1.0, 1.0 + moves)
    known = course([0.2, 0.4, 0.8, 1.0])
    found = steps_to_half(steps, known, start, original)
    assert found.value == pytest.approx(1.5)  # of .2 to 1 the half is .6
    np.testing.assert_allclose(found.drawn, 1.5)
    turned = steps_to_half(steps, [one.times(-1) for one in known], start.times(-1), original.times(-1), higher=False)
    np.testing.assert_allclose(turned.drawn, found.drawn)
    assert steps_to_half(steps, course([0.2, 0.2, 0.3, 0.3]), start, original).value == math.inf
    assert math.isnan(steps_to_half(steps, known, original, start).value)  # the control knows more than the original
