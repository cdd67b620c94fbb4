"""True positives at low rates of false positives, against torchmetrics' ROC of ranks; PrivLeak."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torchmetrics.functional.classification import binary_roc

from lightning_untrac.functional.membership_auc import membership_auc
from lightning_untrac.functional.privleak import privleak
from lightning_untrac.functional.rates_at_fpr import least_sequences, rates_at_fpr
from lightning_untrac.functional.resampled import Resampled


def by_torchmetrics(members: np.ndarray, others: np.ndarray, fpr: float) -> float:
    ranks = rankdata(np.concatenate([members, others])) / (len(members) + len(others))
    labels = torch.arange(len(ranks)) < len(members)
    false, true, _ = binary_roc(torch.from_numpy(ranks), labels.long())
    return true[false <= fpr + 1e-6].max().item()


@pytest.mark.parametrize("fpr", [0.01, 0.02, 0.1])
@pytest.mark.parametrize("others", [20, 99, 100, 250])
def test_it_is_the_roc_of_ranks_with_ties_and_far_from_zero(fpr: float, others: int) -> None:
    chance = np.random.default_rng(others)
    for shift in (0, -900):  # raw log-probabilities that torchmetrics would all take for 0
        member, other = chance.integers(0, 30, 60) + 9.0 + shift, chance.integers(0, 30, others) + 0.0 + shift
        (rate,) = rates_at_fpr(member[None], other[None], fpr, num_resamples=3)
        assert rate.value == pytest.approx(by_torchmetrics(member, other, fpr))


def test_models_share_resamples_and_chance_is_in_them() -> None:
    chance = np.random.default_rng(1)
    member, other = chance.normal(1, 1, 200), chance.normal(0, 1, 300)
    shifted = np.exp(member), np.exp(other)  # ranks alone count
    one, same = rates_at_fpr(np.stack([member, shifted[0]]), np.stack([other, shifted[1]]), 0.1)
    np.testing.assert_array_equal(one.drawn, same.drawn)
    assert np.ptp(one.minus(same).drawn) == 0
    found = [
        rates_at_fpr(chance.normal(1, 1, (1, 200)), chance.normal(0, 1, (1, 300)), 0.1, num_resamples=200)[0]
        for _ in range(200)
    ]
    spread = np.std([each.value for each in found])
    assert np.mean([each.drawn.std() for each in found]) == pytest.approx(spread, rel=0.2)
    assert one.mean.low < one.value < one.mean.high


def test_too_few_are_not_computed() -> None:
    assert (least_sequences(0.01), least_sequences(0.001)) == (20, 200)
    for n, m, known in ((20, 20, True), (19, 20, False), (20, 19, False)):
        (rate,) = rates_at_fpr(np.ones((1, n)), np.zeros((1, m)), 0.01)
        assert math.isfinite(rate.value) == known
        assert len(rate.drawn) == (2000 if known else 0)
    assert math.isnan(rates_at_fpr(np.ones((1, 199)), np.zeros((1, 500)), 0.001)[0].value)


def test_privleak_is_below_0_where_too_little_was_unlearned() -> None:
    members, others = np.array([[1.0, 1.2, 2.0, 0.7]]), np.array([[1.1, 2.5, 3.0, 1.9]])
    (auc,) = membership_auc(-members, -others)  # golden: .8125
    none = np.empty(0)
    assert privleak(Resampled(auc.value, none), Resampled(0.55, none)).value == pytest.approx(-58.33333333)
    assert privleak(Resampled(0.55, none), Resampled(0.55, none)).value == 0
    assert privleak(Resampled(0.2, none), Resampled(0.55, none)).value > 0
    resampled = privleak(auc, Resampled(0.5, np.full_like(auc.drawn, 0.5)))
    np.testing.assert_allclose(resampled.drawn, 100 * (0.5 - auc.drawn) / 0.5)
    assert not math.isfinite(privleak(auc, Resampled(1.0, np.ones_like(auc.drawn))).value)  # of no retrained model
