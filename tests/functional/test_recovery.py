"""Means of models over the same resamples, and the share that came back, against closed forms and known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.example_means import weighted_mean
from lightning_untrac.functional.recovery import recovery
from lightning_untrac.functional.resampled import Resampled, mean_of_models, resampled_means


def means_of(*models: np.ndarray, weights: np.ndarray | None = None) -> list[Resampled]:
    values = np.stack(models)
    return resampled_means(
        [values], [np.ones_like(values) if weights is None else np.broadcast_to(weights, values.shape)]
    )


@pytest.mark.parametrize("examples", [40, 500])
def test_a_mean_and_its_interval_are_those_of_one_model_alone(examples: int) -> None:
    chance = np.random.default_rng(0)
    values, weights = chance.gamma(2.0, 1.0, examples), chance.integers(1, 30, examples).astype(float)
    (mean,) = means_of(values, weights=weights)
    alone = weighted_mean(values, weights)
    assert mean.value == pytest.approx(np.average(values, weights=weights))
    assert mean.mean.high - mean.mean.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_what_moves_two_models_alike_is_not_in_their_difference() -> None:
    chance = np.random.default_rng(1)
    common = 10 * chance.standard_normal(80)
    one, other = means_of(common + 0.5 + 0.01 * chance.standard_normal(80), common)
    difference = one.minus(other).mean
    assert difference.value == pytest.approx(0.5, abs=0.01)
    assert difference.high - difference.low < 0.02
    assert one.mean.high - one.mean.low > 2


def test_datasets_are_resampled_among_themselves() -> None:
    """Two datasets whose examples are alike within each leave no chance, however far apart they are."""
    values = [np.full((1, 30), 1.0), np.full((1, 10), 5.0)]
    (mean,) = resampled_means(values, [np.ones((1, 30)), np.ones((1, 10))])
    assert mean.mean == (2.0, 2.0, 2.0)


def test_each_model_has_its_own_weights_and_what_is_not_finite_does_not_spread() -> None:
    values = np.array([[1.0, 3.0, math.nan], [1.0, 3.0, math.inf]])
    first, second = resampled_means([values], [np.array([[1.0, 3.0, 0.0], [1.0, 1.0, 1.0]])])
    assert first.value == 2.5
    assert first.mean.low == 1.0
    assert second.value == math.inf
    assert math.isnan(second.mean.low)


def test_one_example_has_no_interval_and_none_no_mean() -> None:
    (alone,) = means_of(np.array([2.0]))
    assert alone.value == 2
    assert math.isnan(alone.mean.low)
    (none,) = resampled_means([np.ones((1, 3))], [np.zeros((1, 3))])
    assert math.isnan(none.value)


def test_the_chance_of_retraining_is_in_the_mean_of_retrained_models() -> None:
    ones = np.ones(50)
    together = mean_of_models(means_of(1.0 * ones, 2.0 * ones))
    assert together.mean == (1.5, 1.0, 2.0)


def test_the_share_runs_from_the_original_to_the_retrained_model() -> None:
    chance = np.random.default_rng(2)
    original = 3 + chance.random(60)
    for share in (-0.5, 0.0, 0.25, 1.0, 1.5):
        u, c, r = means_of(original - 0.4 * share, original, original - 0.4)
        found = recovery(u, c, r, higher=False)
        assert found.gain == pytest.approx((0.4, 0.4, 0.4))
        assert found.share == pytest.approx((share, share, share), abs=1e-9)
        # Read the other way round, a retrained model of a lower value is worse, and nothing can come back.
        turned = recovery(u, c, r, higher=True)
        assert turned.gain.value == pytest.approx(-0.4)
        assert all(map(math.isnan, turned.share))
        # The same of values that rise with knowing.
        u, c, r = means_of(0.4 * share - original, -original, 0.4 - original)
        assert recovery(u, c, r).share == pytest.approx((share, share, share), abs=1e-9)


def test_a_gain_that_chance_explains_has_no_share() -> None:
    chance = np.random.default_rng(3)
    original, noise = chance.random(30), chance.standard_normal((2, 30))
    u, c, r = means_of(original, original + noise[0], original + noise[1])
    found = recovery(u, c, r)
    assert found.gain.low < 0 < found.gain.high
    assert math.isnan(found.share.value)


def test_where_resamples_have_no_gain_the_interval_is_open_and_not_wrong() -> None:
    drawn = np.concatenate([np.full(98, 1.0), np.full(2, -1.0)])
    u, c, r = Resampled(2.0, np.full(100, 2.0)), Resampled(0.0, np.zeros(100)), Resampled(1.0, drawn)
    found = recovery(u, c, r)
    assert found.share.value == 2
    assert found.share.low == 2
    assert found.share.high == 2  # two in a hundred are beyond the interval, and none of them is -2
    drawn[:] = [*[1.0] * 95, *[0.0] * 5]
    assert math.isnan(recovery(u, c, r._replace(drawn=drawn)).share.value)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Worlds with a known share of .6; examples and four retrained models both vary."""
    held = 0
    for world in range(200):
        chance = np.random.default_rng(world)
        original = chance.gamma(4.0, 0.5, 150)
        levels = 0.5 + 0.02 * chance.standard_normal(4)
        retrained = original - levels[:, None] + 0.3 * chance.standard_normal((4, 150))
        unlearned = original - 0.3 + 0.3 * chance.standard_normal(150)
        u, c, *r = resampled_means([np.stack([unlearned, original, *retrained])], [np.ones((6, 150))], 300, world)
        found = recovery(u, c, mean_of_models(r), higher=False)
        held += found.share.low <= 0.6 <= found.share.high
    assert 178 <= held <= 199, held
