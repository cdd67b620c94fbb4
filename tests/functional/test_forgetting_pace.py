"""How many steps forgetting takes, in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.forgetting_pace import pace, steps_until, terciles, value_at

STEPS = np.array([0.0, 2.0, 4.0, 10.0])


def test_a_straight_line_comes_down_to_a_share_at_that_share_of_its_way() -> None:
    for slope, share in ((0.3, 0.5), (2.0, 0.1), (0.11, 0.25)):
        line = 3.0 - slope * STEPS
        expected = 3.0 * (1 - share) / slope
        found = steps_until(STEPS, line, share).item()
        assert found == (pytest.approx(expected) if expected <= 10 else math.inf)


def test_the_first_reading_counts_and_what_cannot_come_down_has_no_step() -> None:
    curves = np.array([[4.0, 0.0, 4.0, 4.0], [1.0, 1.0, 9.0, math.nan], [8.0, 2.0, 5.0, 0.0], [0.0, 3.0, 4.0, 0.0]])
    found = steps_until(STEPS, curves, 0.5)
    assert found[0] == pytest.approx(2 * 2 / 3)  # it rises again afterwards
    assert np.isnan(found[[1, 3]]).all()
    assert math.isinf(found[2])


def test_a_multiple_takes_as_many_steps_and_costs_are_read_there() -> None:
    values = np.random.default_rng(0).uniform(1, 2, (1, 6)) * np.array([[1.0], [0.7], [0.3], [0.05]])
    cost = np.array([0.0, 0.1, 0.3, 0.9])
    one, ten = (pace(STEPS, factor * values, [cost, 2 * cost], 0.1) for factor in (1.0, 10.0))
    assert list(one.steps) == pytest.approx(list(ten.steps))
    assert list(one.steps) == pytest.approx([4 + 6 * (0.3 - 0.1) / 0.25] * 3)
    assert ten.start.value == pytest.approx(10 * values[0].mean())
    assert one.costs[0].value == pytest.approx(0.3 + 0.6 * (0.3 - 0.1) / 0.25)
    assert one.costs[1].value == pytest.approx(2 * one.costs[0].value)


def test_intervals_hold_sequences_of_unlike_pace_and_end_at_infinity_where_some_never_get_there() -> None:
    fast, never = np.array([1.0, 0.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 1.0])
    found = pace(STEPS, np.stack([fast] * 6 + [never] * 2, axis=1), [STEPS], 0.4)
    assert 0 < found.steps.low < found.steps.value < 10
    assert math.isinf(found.steps.high)
    assert math.isinf(found.costs[0].high)
    assert found.costs[0].value == found.steps.value
    assert math.isnan(pace(STEPS, np.zeros((4, 0)), [STEPS], 0.5).steps.value)
    alone = pace(STEPS, fast[:, None], [], 0.5).steps
    assert (alone.value, math.isnan(alone.low)) == (1.0, True)


def test_beyond_the_last_reading_nothing_is_known() -> None:
    found = value_at(STEPS, STEPS**2, np.array([1.0, math.inf, math.nan]))
    assert found[0] == 2.0
    assert math.isinf(found[1])
    assert math.isnan(found[2])


def test_terciles_are_as_large_as_can_be_and_follow_the_values() -> None:
    values = np.random.default_rng(1).permutation(20).astype(float)
    parts = terciles(values)
    assert [len(part) for part in parts] == [7, 7, 6]
    assert [values[part].max() for part in parts] == [6, 13, 19]
    assert sorted(np.concatenate(parts)) == list(range(20))
