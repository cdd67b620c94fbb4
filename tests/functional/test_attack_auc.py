"""The AUC of an attack against a count of pairs, and its error against a bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from lightning_untrac.functional.attack_auc import attack_auc, most_memorised


def pairs(members: np.ndarray, others: np.ndarray) -> float:
    gap = members[:, None] - others[None]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


def test_golden_value() -> None:
    """Lower losses are members'."""
    members, others = np.array([1.0, 1.2, 2.0, 0.7]), np.array([1.1, 2.5, 3.0, 1.9])
    assert attack_auc(-members, -others).auc == pytest.approx(0.8125)


def test_it_counts_pairs_with_ties_and_with_scores_far_from_zero() -> None:
    chance = np.random.default_rng(0)
    for shift in (0, -900):  # torchmetrics itself says .5 of scores around -900
        members, others = chance.integers(0, 12, 40) + shift + 2.0, chance.integers(0, 12, 30) + shift + 0.0
        attack = attack_auc(members, others)
        assert attack.auc == pytest.approx(pairs(members, others))
        assert attack.auc == pytest.approx(mannwhitneyu(members, others).statistic / (40 * 30))
        assert (attack.members, attack.others) == (40, 30)


def test_sides_change_places() -> None:
    chance = np.random.default_rng(1)
    members, others = chance.normal(0.5, 1, 50), chance.normal(0, 1, 80)
    one, other = attack_auc(members, others), attack_auc(others, members)
    assert one.auc == pytest.approx(1 - other.auc)
    assert one.error == pytest.approx(other.error)
    assert attack_auc(np.exp(members), np.exp(others)) == pytest.approx(one)


def test_exchangeable_sequences_give_a_half_and_errors_hold_it() -> None:
    chance = np.random.default_rng(2)
    found = [attack_auc(chance.normal(size=60), chance.normal(size=90)) for _ in range(300)]
    mean, spread = np.mean([one.auc for one in found]), np.std([one.auc for one in found])
    assert mean == pytest.approx(0.5, abs=0.01)
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.1)
    assert spread == pytest.approx(0.29 * math.sqrt(1 / 60 + 1 / 90), rel=0.1)
    held = np.mean([one.interval[0] <= 0.5 <= one.interval[1] for one in found])
    assert 0.9 < held < 0.98


def test_few_none_and_what_is_not_a_number() -> None:
    assert math.isnan(attack_auc(np.array([]), np.array([1.0])).auc)
    one = attack_auc(np.array([2.0, np.nan]), np.array([1.0, 3.0]))
    assert one.auc == 0.5
    assert math.isnan(one.error)
    assert all(math.isnan(end) for end in one.interval)
    apart = attack_auc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert (apart.auc, apart.error, apart.interval) == (1.0, 0.0, (1.0, 1.0))


def test_the_most_memorised() -> None:
    chosen = most_memorised(np.arange(25.0))
    assert np.flatnonzero(chosen).tolist() == [23, 24]
    assert most_memorised(np.full(5, 0.5)).tolist() == [True, False, False, False, False]
    assert most_memorised(np.array([np.nan, 0.1])).tolist() == [False, True]
    assert not most_memorised(np.array([np.nan])).any()
    assert most_memorised(np.array([])).shape == (0,)
