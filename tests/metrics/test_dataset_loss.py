from __future__ import annotations

import random

import pytest
import torch

from lightning_untrac.metrics import DatasetLoss


@pytest.fixture
def examples() -> list[tuple[float, int, int]]:
    """Loss sum, tokens and dataset of 200 examples; dataset 2 has none."""
    rng = random.Random(0)
    return [(rng.uniform(0, 50), rng.randint(1, 30), rng.choice([0, 1, 3])) for _ in range(200)]


def measured(examples: list[tuple[float, int, int]], batch_size: int) -> DatasetLoss:
    metric = DatasetLoss(4)
    for start in range(0, len(examples), batch_size):
        sums, counts, which = zip(*examples[start : start + batch_size], strict=True)
        metric.update(torch.tensor(sums, dtype=torch.float64), torch.tensor(counts), torch.tensor(which))
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
    ranks = [measured(examples[rank::2], 3) for rank in (0, 1)]
    whole = measured(examples, 200)
    for name in whole._defaults:
        reduced = sum(getattr(rank, name) for rank in ranks)
        assert torch.allclose(reduced.double(), getattr(whole, name).double(), rtol=1e-14)


def test_a_single_dataset_is_still_a_vector() -> None:
    metric = DatasetLoss(1)
    metric.update(torch.tensor([6.0]), torch.tensor([3]), torch.tensor([0]))
    assert metric.losses().token_loss.tolist() == [2.0]
