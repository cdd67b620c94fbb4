"""The unlearning depth score against the published form, and what it has to be by its meaning."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.depth import layer_retention, unlearning_depth


def test_the_published_form() -> None:
    retrained, unlearned = np.array([[0.01], [0.2], [0.8], [1.5]]), np.array([[0.3], [0.05], [0.9], [0.6]])
    scores, known = unlearning_depth(unlearned, retrained)
    assert scores == pytest.approx([0.58])  # (.2 * .25 + .8 * 1 + 1.5 * .4) / 2.5
    assert known.tolist() == [True]


def test_both_ends_are_exact() -> None:
    retrained = np.random.default_rng(0).gamma(1.0, 0.3, (11, 200))
    retrained[:, 0] = 0.05  # not above the threshold
    same, known = unlearning_depth(retrained, retrained)
    assert not known[0]
    assert known[1:].all()
    assert same[0] == 0
    assert (same[1:] == 1).all()
    assert (unlearning_depth(np.zeros_like(retrained), retrained)[0] == 0).all()
    assert (unlearning_depth(-retrained, retrained)[0] == 0).all()  # known better than by the original
    assert (unlearning_depth(2 * retrained, retrained)[0][1:] == 1).all()  # over-forgotten is not told


def test_a_share_of_every_layer_is_the_score() -> None:
    retrained = np.random.default_rng(1).uniform(0.1, 2.0, (5, 30))
    assert unlearning_depth(0.3 * retrained, retrained)[0] == pytest.approx(np.full(30, 0.3))


def test_layers_that_do_not_count_are_not_looked_at() -> None:
    retrained = np.array([[0.04, 0.0], [1.0, 0.0]])
    effects = np.array([[np.nan, np.nan], [0.5, np.nan]])
    scores, known = unlearning_depth(effects, retrained)
    assert scores.tolist() == [0.5, 0.0]
    assert known.tolist() == [True, False]
    assert unlearning_depth(effects, retrained, threshold=0.5)[0].tolist() == [0.5, 0.0]


def test_a_model_without_numbers_has_no_score() -> None:
    assert np.isnan(unlearning_depth(np.array([[np.nan]]), np.array([[1.0]]))[0]).all()
    assert layer_retention(np.array([np.inf]), np.array([1.0])).tolist() == [1.0]
