from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lightning_untrac.functional.example_means import weighted_mean


def test_it_is_one_sum_over_one_sum_in_any_order() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=500), rng.integers(0, 30, size=500).astype(float)
    order = rng.permutation(500)
    mean = weighted_mean(values, weights)
    assert mean.value == pytest.approx(np.average(values, weights=weights), rel=1e-14)
    assert weighted_mean(values[order], weights[order]).value == mean.value  # to the last bit


def test_the_interval_is_that_of_the_classic_formula_where_all_weigh_alike() -> None:
    values = np.random.default_rng(1).normal(size=40)
    mean = weighted_mean(values, np.ones(40))
    low, high = stats.t.interval(0.95, 39, loc=values.mean(), scale=stats.sem(values))
    assert (mean.low, mean.high) == pytest.approx((low, high), abs=0.02)


@pytest.mark.parametrize("count", [20, 400])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int) -> None:
    """Of a weighted mean, drawn 300 times; 400 examples are resampled in parts."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(300):
        weights = rng.integers(1, 20, size=count).astype(float)
        mean = weighted_mean(5 + rng.normal(size=count), weights)
        held += mean.low <= 5 <= mean.high
    assert 0.91 <= held / 300 <= 0.985


def test_a_change_is_paired() -> None:
    """What moves an example before and after alike leaves the interval of the change narrow."""
    rng = np.random.default_rng(3)
    before, weights = rng.normal(scale=10, size=50), np.ones(50)
    change = weighted_mean(before + 1 + rng.normal(scale=0.1, size=50), weights, before)
    assert change.value == pytest.approx(1, abs=0.1)
    assert change.high - change.low < 0.1


def test_nothing_is_made_up() -> None:
    ones = np.ones(3)
    assert all(math.isnan(part) for part in weighted_mean(ones, 0 * ones))
    alone = weighted_mean(ones[:1], ones[:1])
    assert alone.value == 1
    assert math.isnan(alone.low)
    assert math.isnan(weighted_mean(np.array([1.0, np.nan, 2.0]), ones).value)
    assert weighted_mean(np.array([1.0, np.inf, 2.0]), ones).value == math.inf
    assert weighted_mean(np.array([1.0, np.nan, 3.0]), np.array([1.0, 0.0, 1.0])).value == 2


def test_intervals_end_at_the_bounds() -> None:
    mean = weighted_mean(np.array([0.0, 0.0, 0.0, 1.0]), np.ones(4), bounds=(0.0, 1.0))
    assert mean.low == 0.0
