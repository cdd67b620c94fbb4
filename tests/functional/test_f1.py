"""Macro-F1 and membership, resampled: torchmetrics and DeLong as references, and what models share."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, multiclass_f1_score

from lightning_untrac.functional.attack_auc import attack_auc
from lightning_untrac.functional.f1 import macro_f1
from lightning_untrac.functional.membership_auc import membership_auc


@pytest.fixture
def said():
    rng = np.random.default_rng(0)
    right = rng.integers(3, size=90)  # of four classes, one of which never comes
    models = np.stack([np.where(rng.random(90) < share, right, rng.integers(3, size=90)) for share in (0.2, 0.8)])
    return models.astype(float), right.astype(float)


def torchmetrics_f1(said, right, classes=4):
    return multiclass_f1_score(torch.tensor(said).long(), torch.tensor(right).long(), classes, average="macro").item()


def test_macro_f1_is_torchmetrics(said):
    models, right = said
    for one, found in zip(models, macro_f1([models], [right]), strict=True):
        assert found.value == pytest.approx(torchmetrics_f1(one, right), abs=1e-6)
    parts = macro_f1([models[:, :40], models[:, 40:]], [right[:40], right[40:]])
    assert parts[0].value == pytest.approx(torchmetrics_f1(models[0], right), abs=1e-6)  # datasets count together


def test_a_class_that_is_only_named_counts_as_0(said):
    models, right = said
    one = np.where(np.arange(90) < 5, 3, models[1])[None]
    assert macro_f1([one], [right])[0].value == pytest.approx(torchmetrics_f1(one[0], right), abs=1e-6)


def test_examples_without_a_class_do_not_count(said):
    models, right = said
    more = np.concatenate([right, np.full(7, np.nan)])
    longer = np.concatenate([models, np.full((2, 7), np.nan)], axis=1)
    assert macro_f1([longer], [more])[1].value == pytest.approx(macro_f1([models], [right])[1].value)


def test_the_interval_of_macro_f1_is_that_of_plain_bootstrap(said):
    models, right = said[0][:, :60], said[1][:60]  # few enough to be resampled one by one
    (_, found) = macro_f1([models], [right])
    rng = np.random.default_rng(1)
    plain = [torchmetrics_f1(models[1][drawn], right[drawn]) for drawn in rng.integers(60, size=(1000, 60))]
    assert found.drawn.std() == pytest.approx(np.std(plain), rel=0.1)


def test_a_model_is_itself_in_every_resample(said):
    models, right = said
    first, second = macro_f1([np.stack([models[0], models[0]])], [right])
    difference = first.minus(second).mean
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_membership_is_the_area_with_delongs_interval():
    rng = np.random.default_rng(3)
    members, others = rng.normal(0.6, size=(2, 60)), rng.normal(size=(2, 50))
    for place, found in enumerate(membership_auc(members, others)):
        delong = attack_auc(members[place], others[place])
        scores = torch.sigmoid(torch.tensor(np.concatenate([members[place], others[place]])))
        area = binary_auroc(scores, (torch.arange(110) < 60).long()).item()
        assert found.value == pytest.approx(area, abs=1e-6)
        assert found.drawn.std() == pytest.approx(delong.error, rel=0.1)
    same = membership_auc(np.stack([members[0]] * 2), np.stack([others[0]] * 2))
    assert np.array_equal(same[0].drawn, same[1].drawn)
    assert np.isnan(membership_auc(members, others[:, :0])[0].value)
