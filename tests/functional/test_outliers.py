"""Levels of unseen text and what stands outside of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_untrac.functional.outliers import Level, same_level, sequence_levels, sides, unseen_level


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


def test_a_sequence_beside_itself_is_found_where_a_level_over_all_hides_it() -> None:
    chance = np.random.default_rng(0)
    easy = chance.uniform(0, 1, 500)
    never = easy + 0.02 * chance.standard_normal((3, 500))
    known = easy + 0.02 * chance.standard_normal(500)
    known[:10] += 0.2
    levels = sequence_levels(never)
    found = sides(known, levels)
    assert (found[:10] == 1).all()
    assert 0.02 < (found[10:] != 0).mean() < 0.08  # one more model that never saw them is outside about as often
    width = (levels.high - levels.low) / 2
    assert np.ptp(width) < 1e-9
    assert width[0] == pytest.approx(2 * 0.02 * np.sqrt(4 / 3), rel=0.05)
    assert (sides(known, unseen_level(never))[:10] == 1).sum() < 3


def test_levels_of_sequences_need_two_models_and_know_no_order() -> None:
    never = np.random.default_rng(1).random((4, 30))
    levels, turned = sequence_levels(never), sequence_levels(never[::-1, ::-1])
    for one, other in zip(levels, turned, strict=True):
        np.testing.assert_allclose(one, other[::-1], atol=1e-11)
    same = sequence_levels(np.repeat(never[:1], 2, axis=0))
    assert sides(never[0].round(12), same).tolist() == [0] * 30
    with pytest.raises(ValueError, match="of 1 model; expected at least 2"):
        sequence_levels(never[:1])


def test_one_level_for_all_is_the_same_as_a_level_each() -> None:
    level, values = Level(0.4, 0.1, 0.2, 0.6, 9), np.random.default_rng(2).random(50)
    assert sides(values, same_level(level, 50)).tolist() == sides(values, level).tolist()
