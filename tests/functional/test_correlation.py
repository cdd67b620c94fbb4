import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_untrac.functional.correlation import (
    bootstrap_interval,
    critical_pearson,
    pearson,
    spearman,
    top1_agreement,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    x = rng.normal(size=9)
    return x, x + rng.normal(size=9)


def test_against_plain_formulas(pair):
    x, y = pair
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    tied = np.round(x)
    assert spearman(tied, y) == pytest.approx(stats.spearmanr(tied, y).statistic, abs=1e-12)


def test_tensors_lists_and_scales_give_the_same(pair):
    x, y = pair
    r = pearson(x, y)
    assert pearson(torch.tensor(x), torch.tensor(y)) == pytest.approx(r, abs=1e-12)
    assert pearson(list(x), list(y)) == pytest.approx(r, abs=1e-12)
    for factor in (1e-300, 1e-9, 1e300):
        assert pearson(x * factor, 3 * y) == pytest.approx(r, abs=1e-9)
    assert pearson(-x, y) == pytest.approx(-r, abs=1e-12)
    assert spearman(np.exp(x), y) == pytest.approx(spearman(x, y), abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        ([0.0, 0.0], [1.0, 2.0]),
        ([0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 3.0]),
        ([1.0, math.nan, 2.0], [1.0, 2.0, 3.0]),
        ([1.0, math.inf, 2.0], [1.0, 2.0, 3.0]),
    ],
)
def test_undefined_is_nan_without_a_warning(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(pearson(x, y))
        assert math.isnan(top1_agreement(x, y))
        if "0.30000000000000004" not in map(str, x):  # ranks do tell rounding errors apart
            assert math.isnan(spearman(x, y))
        bootstrap_interval(x, y, num_resamples=20)


def test_shapes_must_match():
    with pytest.raises(ValueError, match="one shape"):
        pearson([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="1 dimensions"):
        pearson(np.ones((2, 2)), np.ones((2, 2)))


def test_top1():
    assert top1_agreement([1.0, 5.0, 2.0], [0.0, 9.0, 1.0]) == 1.0
    assert top1_agreement([1.0, 5.0, 2.0], [9.0, 0.0, 1.0]) == 0.0
    assert top1_agreement([5.0, 5.0, 2.0], [0.0, 9.0, 1.0]) == 0.5


def brute_force(columns, num_resamples, seed, size):
    """The mean correlation of every resample, one by one."""
    draws = np.random.default_rng(seed).integers(size, size=(num_resamples, size))
    kept = []
    for draw in draws:
        values = []
        for x, y in columns:
            a, b = x[draw], y[draw]
            use = np.isfinite(a) & np.isfinite(b)
            a, b = a[use], b[use]
            values.append(np.nan if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0 else np.corrcoef(a, b)[0, 1])
        if np.isfinite(values).all():
            kept.append(np.mean(values))
    low, high = np.quantile(kept, [0.025, 0.975])
    return low, high, num_resamples - len(kept)


def test_bootstrap_against_brute_force(pair):
    x, y = pair
    assert bootstrap_interval(x, y, num_resamples=300, seed=5) == pytest.approx(
        brute_force([(x, y)], 300, 5, len(x)), abs=1e-9
    )


def test_joint_bootstrap_with_gaps_against_brute_force(pair):
    x, y = pair
    gap = y.copy()
    gap[[1, 4]] = np.nan
    columns = [(x, y), (x[::-1].copy(), gap)]
    found = bootstrap_interval(
        np.stack([c[0] for c in columns], 1), np.stack([c[1] for c in columns], 1), num_resamples=300, seed=1
    )
    assert found == pytest.approx(brute_force(columns, 300, 1, len(x)), abs=1e-9)


def test_bootstrap_counts_constant_resamples():
    found = bootstrap_interval([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], num_resamples=900)
    assert found.num_dropped == pytest.approx(900 / 9, rel=0.4)  # all three draws alike: 3 of 27
    assert found.high == pytest.approx(1.0)


def test_bootstrap_is_seeded_and_needs_three(pair):
    x, y = pair
    assert bootstrap_interval(x, y, 100, seed=1) == bootstrap_interval(x, y, 100, seed=1)
    assert bootstrap_interval(x, y, 100, seed=1) != bootstrap_interval(x, y, 100, seed=2)
    assert math.isnan(bootstrap_interval([1.0, 2.0], [3.0, 4.0]).low)


def test_critical_pearson_is_where_scipy_says_five_percent():
    rng = np.random.default_rng(0)
    for n in (4, 8, 20):
        x, noise = rng.normal(size=(2, n))
        x -= x.mean()
        noise -= noise.mean()
        noise -= x * (noise @ x) / (x @ x)
        r = critical_pearson(n)
        y = r * x / np.linalg.norm(x) + math.sqrt(1 - r * r) * noise / np.linalg.norm(noise)
        assert stats.pearsonr(x, y).pvalue == pytest.approx(0.05, abs=1e-9)
    assert math.isnan(critical_pearson(2))
