"""The sharpness-aware gradient against its formula, by hand and however a step is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import Unlearning
from lightning_untrac.functional.retention import uphill
from lightning_untrac.objectives import NPO, SAM, Objective, RetainLoss

LR, RHO = 0.2, 0.05


class Watch(Callback):
    """Keeps the first batch, and the weights around the first step."""

    def __init__(self) -> None:
        self.batch: Any = None
        self.weights: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.batch is None:
            self.batch, self.weights = batch, [flat(pl_module)]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == len(self.weights):
            self.weights.append(flat(pl_module))


def flat(module: Any) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(module.trainable_parameters().values()).detach().clone()


@pytest.fixture
def steps(trace: Any, make_data: Any, model_folders: Any) -> Any:
    def run(objective: Objective, size: int = 8, accumulation: int = 1, **options: Any) -> Watch:
        watch = Watch()
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64", unlearning_objective=objective,
            optimizer=lambda p: torch.optim.SGD(p, lr=LR), **options,
        )  # fmt: skip
        trace(
            data=make_data(batch_size=size), module=module, steps=2, callbacks=(watch,),
            accumulate_grad_batches=accumulation,
        )  # fmt: skip
        return watch

    return run


def test_the_golden_value() -> None:
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    c, x = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.3, -0.4], dtype=torch.float64)
    there = x + uphill({"x": a @ x + c}, 0.01)["x"]
    assert (a @ there + c).tolist() == pytest.approx([1.40632075, -2.25584906], abs=5e-9)
    assert uphill({"x": torch.zeros(2)}, 0.01)["x"].tolist() == [0, 0]


@pytest.mark.parametrize("retain", [0.7, None])
def test_a_step_is_the_one_by_hand(retain: float | None, steps: Any, model_folders: Any) -> None:
    watch = steps(Objective(retain=[RetainLoss(retain)] if retain else [], rectify=SAM(RHO)))
    module = Unlearning(model_folders("gpt2", "float64"), dtype="float64", dropout=False)
    module.configure_model()
    parameters = list(module.trainable_parameters().values())

    def gradient(batch: Any, weights: torch.Tensor) -> torch.Tensor:
        torch.nn.utils.vector_to_parameters(weights, parameters)
        found = torch.autograd.grad(module.mean_loss(batch), parameters)
        return torch.cat([g.flatten() for g in found])

    start = watch.weights[0]
    forget = -gradient(watch.batch, start)
    expected = -gradient(watch.batch, start + RHO * forget / forget.norm())
    assert not torch.allclose(expected, forget, rtol=1e-3)
    if retain:
        expected = expected + retain * gradient(watch.batch["retain"], start)
    torch.testing.assert_close((start - watch.weights[1]) / LR, expected, rtol=1e-8, atol=1e-10)


def test_dropout_masks_are_those_of_the_first_pass(steps: Any) -> None:
    """With hardly any way to go, what is computed again is what was computed before."""
    objective = [Objective(NPO(), [RetainLoss()], rectify=rectify) for rectify in (SAM(1e-12), None)]
    one, other = (steps(each, dropout=True).weights for each in objective)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-10)


def test_a_module_with_an_objective_of_its_own_is_told(model_folders: Any) -> None:
    class Mine(Unlearning):
        def objective(self, seen: Any) -> Any:
            return -seen.forget.mean_loss()

    (problem,) = Mine(model_folders(), unlearning_objective=Objective(rectify=SAM())).problems()
    assert "SAM takes the forget term's gradient a second time, and Mine has an `objective(seen)`" in problem
    assert Unlearning(model_folders(), unlearning_objective=Objective(rectify=SAM())).problems() == []
