"""The multiplier of the bound on the retained loss, by hand, however a step is cut, and in a run that goes on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from lightning_untrac import Unlearning
from lightning_untrac.objectives import PDU, Objective, RetainBound, RetainLoss


class Watched(RetainBound):
    """Keeps the multiplier of each step."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.multipliers: list[float] = []
        self.bounds: list[float] = []

    def prepare(self, module: Any) -> None:
        super().prepare(module)
        self.bounds.append(self.state_dict()["bound"])

    def after_step(self, module: Any) -> None:
        self.multipliers.append(self.state_dict()["multiplier"])
        super().after_step(module)


@pytest.fixture
def run(trace: Any, make_data: Any, model_folders: Any) -> Any:
    def go(term: Any, size: int = 4, accumulation: int = 1, steps: int = 4) -> Any:
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=Objective(PDU(), [term]),
            optimizer=lambda p: torch.optim.SGD(p, lr=0.05),
        )  # fmt: skip
        trace(
            data=make_data(("birds", "ships"), batch_size=size), module=module, steps=steps,
            accumulate_grad_batches=accumulation,
        )  # fmt: skip
        return term

    return go


def test_it_rises_while_the_loss_is_above_the_bound_and_falls_below(run: Any) -> None:
    strict, slack = run(Watched(bound=1.0, multiplier=1.0)), run(Watched(bound=100.0, multiplier=150.0))
    first, second = strict.multipliers[:4], strict.multipliers[4:]
    assert first[0] == second[0] == 1.0  # each episode begins anew
    assert all(b > a for a, b in pairwise(first))
    # An untrained model of 384 rows is near ln 384 = 5.95.
    assert first[1] == pytest.approx(1.0 + 5.95 - 1.0, abs=0.2)
    assert slack.multipliers[1] == pytest.approx(150 + 5.95 - 100, abs=0.2)
    assert slack.multipliers[2] == 0


def test_the_multiplier_is_that_of_the_whole_step(run: Any) -> None:
    whole, cut = run(Watched(bound=1.0)), run(Watched(bound=1.0), size=1, accumulation=4)
    assert cut.multipliers == pytest.approx(whole.multipliers, rel=1e-12)


def test_the_default_bound_is_a_little_above_the_retained_loss_before_unlearning(
    run: Any, make_data: Any, model_folders: Any
) -> None:
    term = run(Watched(slack=0.25), steps=1)
    module = Unlearning(model_folders("gpt2", "float64"), dtype="float64")
    data = make_data(("birds", "ships"))
    data.prepare(module)
    module.configure_model()
    for name, bound in zip(("ships", "birds"), term.bounds, strict=True):
        total, count = 0.0, 0
        for example in data.tokenized[name]:
            ids = torch.tensor(example["input_ids"]).long()[None]
            batch: Any = {"input_ids": ids, "labels": ids}
            total += float(module.mean_loss(batch).detach()) * (ids.shape[1] - 1)
            count += ids.shape[1] - 1
        assert bound == pytest.approx(total / count + 0.25, rel=1e-12)


def test_it_goes_on_from_a_checkpoint(whole_and_resumed: Any) -> None:
    before, whole, resumed = whole_and_resumed(
        lambda: Objective(PDU(), [RetainBound(bound=1.0, multiplier=1.0)]), lambda p: torch.optim.SGD(p, lr=1e-2)
    )
    assert not torch.equal(before, whole)
    assert torch.equal(whole, resumed)
    _, plain, _ = whole_and_resumed(lambda: Objective(PDU(), [RetainLoss()]), lambda p: torch.optim.SGD(p, lr=1e-2))
    assert not torch.equal(plain, whole)
