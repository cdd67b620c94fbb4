"""What gaps on sampled text say, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.own_samples import Gaps, SampledDistances, judge_samples


def drawn(p: np.ndarray, q: np.ndarray, examples: int, length: int, chance: np.random.Generator) -> Gaps:
    """Gaps on text of independent tokens that p has written."""
    tokens = chance.choice(len(p), (examples, length), p=p)
    return Gaps(np.log(p / q)[tokens].mean(axis=1), np.full(examples, float(length)))


def stacked(gaps: list[Gaps]) -> Gaps:
    return Gaps(np.stack([one.values for one in gaps]), np.stack([one.tokens for one in gaps]))


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum())


def world(chance: np.random.Generator, models: list[np.ndarray], examples: int, theirs: bool) -> SampledDistances:
    """Of a model, the original and retrained ones, in one direction."""
    model, original, *retrained = models

    def gap(one: np.ndarray, reference: np.ndarray) -> Gaps:
        return drawn(*((reference, one) if theirs else (one, reference)), examples, 8, chance)

    return SampledDistances(
        stacked([gap(model, one) for one in retrained]),
        stacked([gap(original, one) for one in retrained]),
        stacked([stacked([gap(one, other) for other in retrained]) for one in retrained]),
    )


MODELS = [np.array(one) / sum(one) for one in ([4, 3, 2, 1, 1], [9, 3, 1, 1, 1], [3, 3, 3, 2, 1], [3, 4, 3, 1, 1])]


@pytest.mark.parametrize("theirs", [True, False])
def test_means_come_to_the_divergences_and_intervals_hold_them(theirs: bool) -> None:
    model, original, *retrained = MODELS

    def mean(one: np.ndarray) -> float:
        return float(np.mean([divergence(*((r, one) if theirs else (one, r))) for r in retrained]))

    noise = np.mean([divergence(*retrained), divergence(*retrained[::-1])])
    judged = judge_samples(world(np.random.default_rng(0), MODELS, 4000, theirs))
    assert judged.distance.value == pytest.approx(mean(model), abs=0.01)
    assert judged.start.value == pytest.approx(mean(original), abs=0.01)
    assert judged.noise.value == pytest.approx(noise, abs=0.01)
    assert judged.change.value == pytest.approx(judged.distance.value - judged.start.value)
    assert judged.excess.value == pytest.approx((judged.distance.value - judged.noise.value) / judged.start.value)
    for number, truth in ((judged.distance, mean(model)), (judged.change, mean(model) - mean(original))):
        assert number.low < truth < number.high
    assert judged.change.high < 0


def test_the_interval_of_the_change_holds_the_truth_about_as_often_as_it_says() -> None:
    model, original, one = MODELS[:3]
    truth = divergence(model, one) - divergence(original, one)
    held = 0
    for seed in range(200):
        judged = judge_samples(world(np.random.default_rng(seed), [model, original, one], 40, False), 300)
        held += judged.change.low <= truth <= judged.change.high
    assert 178 <= held <= 199  # of 200, 95 % each


def test_tokens_weigh_and_what_was_not_sampled_does_not_count() -> None:
    gaps = Gaps(np.array([[1.0, 4.0, math.nan]]), np.array([[30.0, 10.0, 0.0]]))
    start = Gaps(np.array([[2.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 0.0]]))
    noise = Gaps(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    judged = judge_samples(SampledDistances(gaps, start, noise))
    assert judged.distance.value == pytest.approx(70 / 40)
    assert judged.change.value == pytest.approx(70 / 40 - 2)
    assert math.isnan(judged.noise.value)  # of one retrained model
    assert math.isnan(judged.excess.value)
    nothing = judge_samples(SampledDistances(*(Gaps(one.values, one.tokens * 0) for one in (gaps, start, noise))))
    assert math.isnan(nothing.distance.value)


def test_the_noise_is_the_same_both_ways() -> None:
    """What one retrained model writes is read by the other either way."""
    chance = np.random.default_rng(1)
    values, tokens = chance.standard_normal((3, 3, 50)), chance.integers(1, 9, (3, 3, 50)).astype(float)
    theirs = Gaps(values, tokens)
    own = Gaps(values.swapaxes(0, 1), tokens.swapaxes(0, 1))
    rest = Gaps(values[0], tokens[0])
    one, other = (judge_samples(SampledDistances(rest, rest, noise)).noise for noise in (theirs, own))
    assert one == pytest.approx(other)
