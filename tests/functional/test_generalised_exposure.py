"""GenEx and RelEx against the golden value, a naive mean of probabilities, and identities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.generalised_exposure import (
    generalised_exposure,
    relative_exposure,
    summarise_exposure,
)


@pytest.fixture
def log_probs() -> np.ndarray:
    """Of 5 models and 40 sequences."""
    return -np.random.default_rng(0).gamma(9.0, 1.0, (5, 40))


def test_golden_value() -> None:
    u, r = np.array([-10.0, -11.0, -9.5])[:, None], np.array([-14.0, -13.0, -15.5])[:, None]
    assert generalised_exposure(u, r).item() == pytest.approx(3.73259157, abs=1e-8)


def test_it_is_the_naive_ratio_of_mean_probabilities(log_probs: np.ndarray) -> None:
    u, r = log_probs[:2], log_probs[2:]
    np.testing.assert_allclose(generalised_exposure(u, r), np.log(np.exp(u).mean(0) / np.exp(r).mean(0)))


def test_far_below_the_smallest_number_it_is_the_same(log_probs: np.ndarray) -> None:
    u, r = log_probs[:2], log_probs[2:]
    np.testing.assert_allclose(
        generalised_exposure(u - 5000, r - 5000), generalised_exposure(u, r), rtol=1e-9, atol=1e-9
    )


def test_identical_models_one_model_a_side_and_the_order_of_models(log_probs: np.ndarray) -> None:
    assert np.abs(generalised_exposure(log_probs, log_probs)).max() == 0
    np.testing.assert_array_equal(generalised_exposure(log_probs[:1], log_probs[1:2]), log_probs[0] - log_probs[1])
    np.testing.assert_allclose(
        generalised_exposure(log_probs[[1, 0]], log_probs[[4, 2, 3]]),
        generalised_exposure(log_probs[:2], log_probs[2:]),
    )
    np.testing.assert_allclose(
        generalised_exposure(log_probs[2:], log_probs[:2]), -generalised_exposure(log_probs[:2], log_probs[2:])
    )


def test_no_value_is_beyond_what_an_eps_unlearner_allows(log_probs: np.ndarray) -> None:
    eps = 0.3
    near = log_probs + np.random.default_rng(1).uniform(-eps, eps, log_probs.shape)
    assert np.abs(generalised_exposure(near, log_probs)).max() <= eps


def test_relative_exposure_among_its_like_has_a_mean_probability_ratio_of_one(log_probs: np.ndarray) -> None:
    found = relative_exposure(log_probs[0], log_probs[0])
    assert np.exp(found).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(relative_exposure(log_probs[0] + 2.0, log_probs[0]), found + 2.0)


def test_the_summary_says_both_sides_and_its_intervals_hold_them(log_probs: np.ndarray) -> None:
    u, r = log_probs[:2] + 1.0, log_probs[2:]
    found = summarise_exposure(u, r)
    each = generalised_exposure(u, r)
    assert found.mean.value == pytest.approx(each.mean())
    assert found.mean_size.value == pytest.approx(np.abs(each).mean())
    assert found.largest.value == each.max()
    assert math.isnan(found.largest.low)
    for part in (found.mean, found.mean_size):
        assert part.low < part.value < part.high
    even = summarise_exposure(log_probs[:1], log_probs[:1])
    assert even.mean == even.mean_size == (0.0, 0.0, 0.0)


def test_the_interval_covers_what_other_sequences_and_seeds_would_have_said() -> None:
    """Log-probabilities with noise of sequences and of models: 95 % intervals hold the true mean about as often."""
    held = 0
    for trial in range(200):
        chance = np.random.default_rng(trial)
        start = -chance.gamma(9.0, 1.0, 60)
        gap = 1.0 + 0.5 * chance.standard_normal(60)
        u = (start + gap)[None]
        r = start + 0.05 * chance.standard_normal((4, 60))
        mean = summarise_exposure(u, r, num_resamples=300, seed=trial).mean
        held += mean.low < 1.0 < mean.high
    assert 0.9 * 200 <= held <= 0.99 * 200


def test_many_sequences_are_resampled_in_parts_with_the_same_interval() -> None:
    chance = np.random.default_rng(4)
    u, r = -chance.gamma(9.0, 1.0, (1, 6000)), -chance.gamma(9.0, 1.0, (3, 6000))
    mean = summarise_exposure(u, r).mean
    each = generalised_exposure(u, r)
    by_one = summarise_exposure(u, r[:1]).mean
    assert by_one.high - by_one.low == pytest.approx(2 * 1.96 * (u - r[:1]).std() / np.sqrt(6000), rel=0.2)
    assert mean.low < each.mean() < mean.high
    assert mean.high - mean.low > by_one.high - by_one.low  # which retrained models there are is chance too


def test_nothing_and_one_sequence() -> None:
    none = summarise_exposure(np.zeros((1, 0)), np.zeros((2, 0)))
    assert math.isnan(none.mean.value)
    one = summarise_exposure(np.array([[-1.0]]), np.array([[-3.0]]))
    assert one.mean.value == 2.0
    assert math.isnan(one.mean.low)
