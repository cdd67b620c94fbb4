"""Exposure by rank and by a fitted distribution, against the golden value, a count and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import skewnorm

from lightning_untrac.functional.exposure import exposure, extrapolated_exposure, unseen_exposure

UNSEEN = np.array([3.0, 3.4, 2.9, 3.8, 4.1, 3.3, 3.6])


def test_golden_value_and_ends() -> None:
    assert exposure(np.array([3.1]), UNSEEN).item() == pytest.approx(math.log2(8) - math.log2(3))
    assert exposure(np.array([0.0, 9.0]), UNSEEN).tolist() == [3.0, 0.0]


def test_it_is_a_count_of_likelier_sequences_whatever_their_order() -> None:
    chance = np.random.default_rng(0)
    losses, unseen = chance.gamma(9.0, 0.4, 50), chance.gamma(9.0, 0.4, 200)
    naive = [math.log2(201) - math.log2(1 + sum(other < loss for other in unseen)) for loss in losses]
    np.testing.assert_allclose(exposure(losses, unseen), naive)
    np.testing.assert_array_equal(exposure(losses, chance.permutation(unseen)), exposure(losses, unseen))
    np.testing.assert_array_equal(exposure(np.exp(losses), np.exp(unseen)), exposure(losses, unseen))


def test_unseen_sequences_are_exposed_by_log2_e_bits() -> None:
    """Ranks of exchangeable sequences are uniform, and the mean of ``-log2 U`` is ``1 / ln 2``."""
    losses = np.random.default_rng(1).normal(size=4000)
    assert unseen_exposure(losses).mean() == pytest.approx(1 / math.log(2), abs=0.01)
    assert exposure(losses[:2000], losses[2000:]).mean() == pytest.approx(1 / math.log(2), abs=0.1)


def test_a_fitted_tail_is_scipys_and_agrees_with_ranks_in_the_middle() -> None:
    unseen = skewnorm.rvs(3.0, loc=3.0, scale=0.4, size=3000, random_state=2)
    losses = np.array([2.4, 2.9, 3.2, 3.6])
    np.testing.assert_allclose(
        extrapolated_exposure(losses, unseen), -np.log2(skewnorm.cdf(losses, *skewnorm.fit(unseen)))
    )
    true = -np.log2(skewnorm.cdf(losses[1:], 3.0, 3.0, 0.4))
    np.testing.assert_allclose(extrapolated_exposure(losses[1:], unseen), true, rtol=0.2)
    np.testing.assert_allclose(exposure(losses[1:], unseen), true, rtol=0.2)


def test_the_tail_ends_where_numbers_do_and_is_higher_for_lower_losses() -> None:
    unseen = np.random.default_rng(3).normal(3.0, 0.1, 100)
    found = extrapolated_exposure(np.array([3.0, 2.6, 2.2, -30.0]), unseen)
    assert (np.diff(found) > 0).all()
    assert found[-1] == 1074
    assert found[1] > math.log2(101)  # beyond what ranks can say


def test_nothing_to_stand_among() -> None:
    assert np.isnan(exposure(np.array([1.0]), np.array([]))).all()
    assert np.isnan(exposure(np.array([np.nan]), UNSEEN)).all()
    assert np.isnan(extrapolated_exposure(np.array([1.0]), UNSEEN)).all()  # too few for a fit
    assert np.isnan(extrapolated_exposure(np.array([1.0]), np.full(50, 3.0))).all()  # all alike
    assert np.isnan(unseen_exposure(np.array([1.0]))).all()
