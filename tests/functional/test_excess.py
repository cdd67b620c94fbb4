"""The excess over the noise of retraining, against closed forms and the golden values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.excess import Distances, judge


def losses_apart(u: np.ndarray, original: np.ndarray, retrained: np.ndarray, weights: np.ndarray) -> Distances:
    """Distances as differences of losses; ``retrained`` is ``[R, E]``."""
    noise = np.abs(retrained[:, None] - retrained[None])
    return Distances(np.abs(retrained - u), np.abs(u - original), np.abs(retrained - original), noise, weights)


@pytest.fixture
def models() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses of an original and of three retrained models on 200 examples, and weights."""
    chance = np.random.default_rng(3)
    original = chance.gamma(4.0, 0.5, 200)
    retrained = original + 0.8 + 0.1 * chance.standard_normal((3, 200))
    return original, retrained, chance.integers(1, 30, 200).astype(float)


def constant(distance: float, original: float, start: float, noise: float) -> Distances:
    ones = np.ones(5)
    return Distances(
        np.full((2, 5), distance), original * ones, np.full((2, 5), start), np.full((2, 2, 5), noise), ones
    )


def test_golden_values() -> None:
    judged = judge(constant(0.12, 0.30, 0.40, 0.05))
    assert judged.excess.value == pytest.approx((0.12 - 0.05) / 0.40)
    assert judged.nearer.value == pytest.approx(0.12 / (0.12 + 0.30))
    assert judged.excess.low == pytest.approx(judged.excess.high)  # examples and models say the same


def test_a_retrained_model_is_at_no_distance_from_itself_and_as_far_as_the_noise_from_another(models) -> None:
    original, retrained, weights = models
    judged = judge(losses_apart(retrained[0], original, retrained[:1], weights))
    assert judged.distance.value == 0
    assert judged.nearer.value == 0
    assert math.isnan(judged.noise.value)  # one retrained model shows none
    assert math.isnan(judged.excess.value)
    fresh = judge(losses_apart(retrained[2], original, retrained[:2], weights))
    assert abs(fresh.excess.value) < 0.05
    assert fresh.nearer.high < 0.5


def test_the_original_keeps_what_the_noise_leaves_of_the_whole_way(models) -> None:
    original, retrained, weights = models
    judged = judge(losses_apart(original, original, retrained, weights))
    mean = np.average(np.abs(retrained - original), weights=weights, axis=1).mean()
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    noise = np.mean([np.average(np.abs(retrained[i] - retrained[j]), weights=weights) for i, j in pairs])
    assert judged.start.value == judged.distance.value == pytest.approx(mean)
    assert judged.noise.value == pytest.approx(noise)
    assert judged.excess.value == pytest.approx((mean - noise) / mean)
    assert judged.nearer.value == judged.nearer.low == 1


@pytest.mark.parametrize("examples", [40, 300])
def test_intervals_hold_the_truth(examples: int) -> None:
    """Many worlds with a known mean: examples and retrained models both vary."""
    held, narrow = 0, 0
    for world in range(200):
        chance = np.random.default_rng(world)
        levels = 0.5 + 0.05 * chance.standard_normal(4)  # a model's own
        distances = levels[:, None] + 0.2 * chance.standard_normal((1, examples))
        zeros = np.zeros((4, 4, examples))
        judged = judge(Distances(distances, distances[0], distances, zeros, np.ones(examples)), num_resamples=300)
        held += judged.distance.low <= 0.5 <= judged.distance.high
        narrow += judged.distance.high - judged.distance.low < 0.3
    assert held >= 170  # of 200; four models are few
    assert narrow == 200


def test_examples_without_weight_do_not_count_and_one_example_has_no_interval() -> None:
    whole = constant(0.2, 0.1, 0.4, 0.1)
    weights = np.array([1.0, 0, 0, 0, 0])
    judged = judge(whole._replace(weights=weights, to_original=np.array([0.1, np.nan, np.nan, 9, 9])))
    assert judged.nearer.value == pytest.approx(2 / 3)
    assert math.isnan(judged.nearer.low)


def test_where_nothing_moved_there_is_no_excess() -> None:
    judged = judge(constant(0.0, 0.0, 0.0, 0.0))
    assert math.isnan(judged.excess.value)
    assert math.isnan(judged.nearer.value)
