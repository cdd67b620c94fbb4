"""Robustness, against golden values by hand, invariances, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.harmonic_mean import harmonic_mean
from lightning_untrac.functional.resampled import Resampled, resampled_means
from lightning_untrac.functional.robustness import (
    likeness,
    quantisation_robustness,
    relearning_robustness,
    robustness,
)


def point(value: float) -> Resampled:
    return Resampled(value, np.full(3, value))


def test_golden_values() -> None:
    """R of changes .6 and .4 is .8, Q of .2 -> .3 is .8 (symmetric forms); HM of .1, .4, .2, .3 by the same rule."""
    changed, control = (point(0.1), point(0.7)), (point(0.1), point(0.5))
    assert relearning_robustness(changed, control).value == pytest.approx(0.8)
    q = quantisation_robustness(point(0.2), point(0.3))
    assert q.value == pytest.approx(0.8)
    np.testing.assert_allclose(q.drawn, 0.8)
    assert robustness(point(0.9), point(0.5)).value == pytest.approx(2 / (1 / 0.9 + 1 / 0.5))
    # where open-unlearning's one-sided forms are below 1, they are ratios of the same two numbers
    one_sided, ratio = likeness(0.6, 0.4), 0.4 / 0.6
    assert one_sided == pytest.approx(2 * ratio / (1 + ratio))


def test_it_is_symmetric_bounded_and_free_of_the_unit() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 100))
    np.testing.assert_allclose(likeness(a, b), likeness(b, a))
    np.testing.assert_allclose(likeness(3 * a, 3 * b), likeness(a, b))
    np.testing.assert_allclose(likeness(-a, -b), likeness(a, b))
    assert (likeness(a, b) >= 0).all()
    assert (likeness(a, b) <= 1).all()
    np.testing.assert_array_equal(likeness(a, a), 1.0)
    np.testing.assert_allclose(likeness(np.abs(a), -np.abs(b)), 0.0, atol=1e-15)


def test_two_zeros_are_alike_and_nothing_else_is_made_up() -> None:
    assert likeness(0.0, 0.0) == 1.0
    assert likeness(0.0, 1e-12) == 0.0
    assert np.isnan(likeness(np.nan, 1.0))
    assert np.isnan(likeness(np.inf, np.inf))
    assert harmonic_mean(np.array([0.0, 0.0])) == 0.0
    assert harmonic_mean(np.array([0.0, 1.0])) == 0.0


def test_what_moves_both_alike_is_not_in_the_interval() -> None:
    """Twice the values of the same examples: Q is 2/3 on every resample, however much the means vary."""
    values = np.random.default_rng(1).exponential(size=50)
    before, after = resampled_means([np.stack([values, 2 * values])], [np.ones((2, 50))])
    found = quantisation_robustness(before, after)
    assert before.mean.high - before.mean.low > 0.1
    np.testing.assert_allclose(found.drawn, 2 / 3)
