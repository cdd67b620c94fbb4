from __future__ import annotations

import itertools
import random

import pytest
import torch

from lightning_untrac.functional import NUM_PARTS, part_of
from lightning_untrac.metrics import DatasetLoss, DatasetLosses


@pytest.fixture
def examples() -> list[tuple[float, int, int]]:
    """Loss sum, tokens and dataset of 200 examples; dataset 2 has none."""
    rng = random.Random(0)
    return [(rng.uniform(0, 50), rng.randint(1, 30), rng.choice([0, 1, 3])) for _ in range(200)]


def measured(examples: list[tuple[float, int, int]], batch_size: int, every: int = 1, first: int = 0) -> DatasetLoss:
    """The metric of the examples from ``first`` on, ``every`` how manyth; filler has the index -1 and counts none."""
    metric = DatasetLoss(4)
    numbers = list(itertools.accumulate((int(d >= 0) for _, _, d in examples), initial=0))[:-1]
    rows = [(s, n, d, i if d >= 0 else -1) for (s, n, d), i in zip(examples, numbers, strict=True)][first::every]
    for start in range(0, len(rows), batch_size):
        sums, counts, which, index = map(torch.tensor, zip(*rows[start : start + batch_size], strict=True))
        metric.update(sums.double(), counts, which, index)
    return metric


@pytest.mark.parametrize("batch_size", [1, 7, 200])
def test_losses_are_plain_sums_over_counts(examples: list[tuple[float, int, int]], batch_size: int) -> None:
    losses = measured(examples, batch_size).losses()
    for dataset in (0, 1, 3):
        mine = [(s, n) for s, n, d in examples if d == dataset]
        assert losses.token_loss[dataset].item() == pytest.approx(sum(s for s, _ in mine) / sum(n for _, n in mine))
        assert losses.example_loss[dataset].item() == pytest.approx(sum(s / n for s, n in mine) / len(mine))
        assert losses.num_examples[dataset] == len(mine)
    assert losses.token_loss[2].isnan()


def test_filler_counts_nowhere(examples: list[tuple[float, int, int]]) -> None:
    filled = [e for example in examples for e in (example, (99.0, 5, -1))]
    for a, b in zip(measured(examples, 200).losses(), measured(filled, 10).losses(), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-14, equal_nan=True)


def test_two_ranks_add_up(examples: list[tuple[float, int, int]]) -> None:
    """The reduction that torchmetrics does over ranks: the sum of stacked states."""
    ranks = [measured(examples, 3, every=2, first=rank) for rank in (0, 1)]
    whole = measured(examples, 200)
    for name in whole._defaults:
        reduced = sum(getattr(rank, name) for rank in ranks)
        assert torch.allclose(reduced.double(), getattr(whole, name).double(), rtol=1e-14)


def test_a_single_dataset_is_still_a_vector() -> None:
    metric = DatasetLoss(1)
    metric.update(torch.tensor([6.0]), torch.tensor([3]), torch.tensor([0]))
    assert metric.losses().token_loss.tolist() == [2.0]


def test_parts_hold_the_examples_that_belong_to_them(examples: list[tuple[float, int, int]]) -> None:
    losses = measured(examples, 7).losses()
    assert losses.parts is not None
    parts = part_of(torch.arange(len(examples))).tolist()
    for dataset in (0, 1, 3):
        for part in range(NUM_PARTS):
            mine = [(s, n) for (s, n, d), p in zip(examples, parts, strict=True) if (d, p) == (dataset, part)]
            expected = [sum(s for s, _ in mine), sum(s / n for s, n in mine), sum(n for _, n in mine), len(mine)]
            assert losses.parts[dataset, :, part].tolist() == pytest.approx(expected)


def test_losses_survive_a_checkpoint(examples: list[tuple[float, int, int]]) -> None:
    losses = measured(examples, 7).losses()
    for before, after in zip(losses, DatasetLosses.of_lists(losses.as_lists()), strict=True):
        assert before.dtype == after.dtype
        assert torch.equal(before.nan_to_num(-1), after.nan_to_num(-1))
    assert DatasetLosses.of_lists(losses.as_lists()[:4]).parts is None
