from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from lightning_untrac.functional.uncertainty import (
    Variance,
    Variances,
    added,
    growth_variance,
    holm,
    resampled_covariance,
    seed_variance,
    seed_variances,
    shared_letters,
)


def test_resampling_examples_finds_the_variance_of_a_ratio() -> None:
    """Against the delta method: the influence is a ratio of sums, because examples have unlike lengths."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 40, 64).astype(float)
    before = rng.normal(3, 1, (2, 64)) * tokens
    after = before + (rng.normal(0.1, 0.3, 64) + rng.normal(0, 0.2, (2, 64))) * tokens
    covariance, parts = resampled_covariance(before, after, np.stack([tokens, tokens]), num_resamples=20_000)
    influence = (after - before).sum(1) / tokens.sum()
    residuals = (after - before) - influence[:, None] * tokens
    expected = residuals @ residuals.T / tokens.sum() ** 2 * 64 / 63
    assert parts == 64
    assert covariance == pytest.approx(expected, rel=0.1)


def test_what_is_common_to_two_influences_does_not_count_between_them() -> None:
    rng = np.random.default_rng(0)
    common, ones = rng.normal(size=64), np.ones((2, 64))
    covariance, _ = resampled_covariance(0 * ones, np.stack([common, common + 1]), ones)
    assert covariance[0, 0] > 0.001
    assert covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] == pytest.approx(0, abs=1e-12)


def test_a_relative_influence_is_resampled_as_such() -> None:
    before, after, ones = np.full((1, 8), 2.0), np.full((1, 8), 6.0), np.ones((1, 8))
    before *= np.arange(1, 9)
    after *= np.arange(1, 9)
    covariance, _ = resampled_covariance(before, after, ones, relative=True)
    assert covariance.item() == pytest.approx(0, abs=1e-12)  # every part has the ratio 4 / 8


def test_one_part_says_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        resampled_covariance(np.ones((1, 3)), np.ones((1, 3)), np.array([[0.0, 5.0, 0.0]]))


def test_variances_over_two_seeds_are_unbiased() -> None:
    """Over many draws of a model with known variances: 0.3 common to a seed, 0.5 of each row's own."""
    rng = np.random.default_rng(0)
    rows, seeds, draws = 4, 2, 4000
    each, difference = [], []
    for _ in range(draws):
        values = rng.normal(0, 0.3**0.5, seeds) + rng.normal(0, 0.5**0.5, (rows, seeds))
        each.append(seed_variance(values, 0, 0).value)
        difference.append(seed_variance(values, 0, 1).value)
        assert seed_variance(values, 0, 1).freedom == (rows - 1) * (seeds - 1)
    assert np.mean(each) == pytest.approx(0.8 / seeds, rel=0.05)
    assert np.mean(difference) == pytest.approx(2 * 0.5 / seeds, rel=0.05)


def test_a_row_that_moves_more_than_the_others_has_its_own_variance() -> None:
    """Its 95 % interval still holds the truth, though pooling alone would give it a third of the width."""
    rng = np.random.default_rng(0)
    deviations = np.array([1.0, 0.1, 0.1, 0.1, 0.1, 0.1])[:, None]
    held = np.zeros(6)
    for _ in range(1000):
        values = rng.normal(0, 1, (6, 3)) * deviations
        for row in range(6):
            variance = seed_variance(values, row, row)
            held[row] += abs(values[row].mean()) <= stats.t.ppf(0.975, variance.freedom) * variance.value**0.5
    assert held[0] / 1000 > 0.93
    assert held[1:].min() / 1000 > 0.93


def test_a_single_row_has_the_plain_variance() -> None:
    found = seed_variance(np.array([[1.0, 2.0, 6.0]]), 0, 0)
    assert found == (pytest.approx(np.var([1, 2, 6], ddof=1) / 3), 2)


def test_degrees_of_freedom_of_a_sum_are_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(0, 3, size=12)
    total = Variance(a.var(ddof=1) / 7, 6) + Variance(b.var(ddof=1) / 12, 11)
    assert total.freedom == pytest.approx(stats.ttest_ind(a, b, equal_var=False).df)
    assert (Variance(1.0, 5) + Variance(0.0, float("inf"))) == (1.0, pytest.approx(5))


def test_holm_by_its_definition() -> None:
    p = np.array([0.02, 0.001, 0.5, 0.011])
    # the smallest times 4, the next times 3, ..., none below the one before
    assert holm(p) == pytest.approx([0.04, 0.004, 0.5, 0.033])
    assert holm(np.array([0.9, 0.8])).max() <= 1


@pytest.mark.parametrize("seed", range(20))
def test_two_share_a_letter_exactly_if_they_are_not_told_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differs = np.triu(rng.random((7, 7)) < 0.4, 1)
    differs |= differs.T
    letters = shared_letters(differs, list(rng.permutation(7)))
    for one, other in itertools.combinations(range(7), 2):
        assert bool(set(letters[one]) & set(letters[other])) is not bool(differs[one, other])
    assert all(letters)


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_all_seed_variances_at_once_are_those_of_each(rows, seeds):
    values = np.random.default_rng(rows).normal(size=(rows, seeds)) * np.arange(1, rows + 1)[:, None]
    found = seed_variances(values)
    for one, other in np.ndindex(rows, rows):
        expected = seed_variance(values, one, other)
        assert found.values[one, other] == pytest.approx(expected.value, rel=1e-12)
        assert found.freedoms[one, other] == expected.freedom


def test_many_sums_of_variances_at_once_are_those_of_each():
    first = Variances(np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0, np.inf]))
    second = Variances(np.array([0.0, 3.0, 0.5]), np.array([np.inf, 2.0, 7.0]))
    found = added(first, second)
    for place in range(3):
        expected = Variance(first.values[place], first.freedoms[place]) + Variance(
            second.values[place], second.freedoms[place]
        )
        assert (found.values[place], found.freedoms[place]) == expected


def simulated_levels(rng: np.random.Generator, memory: float, paces: np.ndarray, noise: float = 0.01) -> np.ndarray:
    """Four readings of a run whose rows grow at one pace, with noise of which each step keeps a share ``memory``."""
    kept, found = np.zeros(len(paces)), []
    for step in range(1, 21):
        kept = memory * kept + rng.normal(0, noise, len(paces))
        if step % 5 == 0:
            found.append(paces * (step / 20) ** 0.7 + kept)
    return np.stack(found, axis=1)


@pytest.mark.parametrize(("memory", "exact"), [(1.0, True), (0.8, False), (0.3, False)])
@pytest.mark.parametrize("rows", [3, 6])
def test_the_noise_of_one_run_is_told_from_its_stretches_or_overrated(memory: float, exact: bool, rows: int) -> None:
    rng = np.random.default_rng(0)
    paces = np.linspace(0.0, 0.5, rows)
    runs = [simulated_levels(rng, memory, paces) for _ in range(2000)]
    truth = float(np.var([run[:, -1] for run in runs], axis=0).mean())
    found = [growth_variance(run) for run in runs]
    assert {variance.freedom for variance in found} == {3 * (rows - 2)}
    ratio = float(np.mean([variance.value for variance in found])) / truth
    if exact:
        assert ratio == pytest.approx(1, abs=0.12)
    else:
        assert ratio > 1.3
    # the difference of two rows, with Student's t
    half = [stats.t.ppf(0.975, v.freedom) * np.sqrt(2 * v.value) for v in found]
    held = [abs(run[-1, -1] - run[0, -1] - (paces[-1] - paces[0])) <= h for run, h in zip(runs, half, strict=True)]
    assert np.mean(held) > 0.935


def test_rows_of_one_pace_have_no_noise_and_few_rows_no_answer() -> None:
    levels = np.outer([0.1, -0.2, 0.4, 0.0], [0.3, 0.5, 0.9, 1.0]) + np.array([0.0, 0.1, 0.1, 0.3])
    assert growth_variance(levels).value == pytest.approx(0, abs=1e-15)
    for shape in ((2, 4), (3, 1)):
        with pytest.raises(ValueError, match="at least 3 rows and 2 stretches"):
            growth_variance(np.ones(shape))
