"""How far a task vector is taken away, on a loss that is known: ``|theta - theta_0|^2 / 4``."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from lightning_untrac.forgetting.negated_vector import NegatedTaskVector


class Toy(nn.Module):
    """What the callback asks of a module; the loss is no number beyond a distance."""

    def __init__(self, breaks_at: float = math.inf) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.breaks_at, self.model = breaks_at, nn.Identity()
        start = {"weight": self.weight.detach().clone()}
        self.reference = SimpleNamespace(start=lambda: start)
        self.trainer: Any = SimpleNamespace(
            sanity_checking=False,
            loggers=[],
            global_step=0,
            precision_plugin=SimpleNamespace(val_step_context=nullcontext),
        )
        self.without_dropout = nullcontext
        with torch.no_grad():
            self.weight.add_(torch.tensor([0.0, 2.0]))

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.named_parameters())

    def retained_examples(self, count: int) -> list[dict[str, bool]]:
        return [{"has_targets": True}, {"has_targets": False}]

    def num_targets(self, batch: Any) -> int:
        return 3

    def mean_loss(self, batch: Any) -> torch.Tensor:
        away = (self.weight - self.reference.start()["weight"]).square().sum() / 4
        return away if away <= self.breaks_at else away * math.nan


@pytest.mark.parametrize(
    ("budget", "breaks_at", "expected"),
    [(1e-6, math.inf, 0.25), (1.0, math.inf, 1.0), (5.0, math.inf, 2.0), (100.0, math.inf, 8.0), (100.0, 3.0, 1.5)],
)
def test_the_largest_coefficient_within_the_budget(budget: float, breaks_at: float, expected: float) -> None:
    module, edits = Toy(breaks_at), NegatedTaskVector(None, budget)
    edits.on_validation_start(module.trainer, module)
    assert edits.chosen == expected
    assert edits.rise == pytest.approx(expected**2)
    assert module.weight.tolist() == pytest.approx([1.0, 2.0 - 2 * expected])
    edits.on_validation_end(module.trainer, module)
    assert module.weight.tolist() == [1.0, 4.0]
    edits.on_train_end(module.trainer, module)
    assert module.weight.tolist() == pytest.approx([1.0, 2.0 - 2 * expected])
    assert ("even the smallest" in edits.said()) is (budget < 0.1)
