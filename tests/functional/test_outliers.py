"""Levels of unseen text and what stands outside of them."""

from __future__ import annotations

import math

import numpy as np

from lightning_untrac.functional.outliers import Level, sides, unseen_level


def test_golden_counts_with_the_papers_constants() -> None:
    found = sides(np.array([0.1, 0.3, 0.62, 0.9, 0.15]), Level(0.375, 0.1125, 0.15, 0.60, 2))
    assert [int((found == -1).sum()), int((found == 1).sum())] == [2, 2]


def test_the_level_is_mean_and_sample_deviations_whatever_the_order_and_shape() -> None:
    values = np.random.default_rng(0).beta(2, 5, (3, 40))
    level = unseen_level(values)
    assert np.allclose(
        level[:4],
        (values.mean(), values.std(ddof=1), values.mean() - 2 * values.std(ddof=1), level.mean + 2 * level.sd),
    )
    assert level.sequences == 120
    assert unseen_level(np.random.default_rng(1).permutation(values.ravel())) == level
    assert unseen_level(np.append(values, [np.nan, np.inf])) == level


def test_of_normal_text_two_sided_outliers_are_as_many_as_the_normal_distribution_says() -> None:
    chance = np.random.default_rng(2)
    found = sides(chance.normal(0.4, 0.1, 100_000), unseen_level(chance.normal(0.4, 0.1, 100_000)))
    assert abs((found == 1).mean() - 0.02275) < 0.002
    assert abs((found == -1).mean() - 0.02275) < 0.002


def test_unseen_text_that_is_all_alike_makes_no_outlier_of_its_like() -> None:
    level = unseen_level(np.zeros(5))
    assert level == Level(0.0, 0.0, 0.0, 0.0, 5)
    assert sides(np.array([0.0, 0.01, -0.01]), level).tolist() == [0, 1, -1]
    assert unseen_level(np.array([0.3])) == Level(0.3, 0.0, 0.3, 0.3, 1)


def test_what_is_not_a_number_and_a_level_of_nothing_are_on_no_side() -> None:
    assert sides(np.array([np.nan, 0.5]), unseen_level(np.array([0.1, 0.2]))).tolist() == [0, 1]
    nothing = unseen_level(np.array([np.nan]))
    assert nothing.sequences == 0
    assert math.isnan(nothing.mean)
    assert sides(np.array([0.0, 1.0]), nothing).tolist() == [0, 0]
