"""The ROC curve against counting by hand, and against the area that is computed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.attack_auc import attack_auc
from lightning_untrac.functional.roc import roc


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    # With ties, and of a size that a sigmoid in float32 would press into one value.
    return np.round(chance.normal(1, 1, 70), 1) + 500, np.round(chance.normal(0, 1, 90), 1) + 500


def test_every_point_is_a_count_above_a_threshold(scores: tuple[np.ndarray, np.ndarray]) -> None:
    members, others = scores
    curve = roc(members, others)
    expected = {(float((others >= at).mean()), float((members >= at).mean())) for at in np.concatenate(scores)}
    assert {(0.0, 0.0), *expected} == set(zip(curve.fpr.tolist(), curve.tpr.tolist(), strict=True))


def test_the_area_below_it_is_the_auc(scores: tuple[np.ndarray, np.ndarray]) -> None:
    curve = roc(*scores)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(attack_auc(*scores).auc, abs=1e-6)


def test_between_points_the_share_is_that_of_the_last_threshold() -> None:
    curve = roc(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    assert curve.at(np.array([0.0, 0.49, 0.5, 1.0])).tolist() == [0.5, 0.5, 1.0, 1.0]


def test_without_a_side_there_is_no_curve() -> None:
    assert np.isnan(roc(np.array([np.nan]), np.ones(3)).tpr).all()
