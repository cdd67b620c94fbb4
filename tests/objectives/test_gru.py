"""GRU against its formula, by hand and however a step is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import Unlearning
from lightning_untrac.functional.retention import remove_conflict
from lightning_untrac.objectives import GRU, Objective, RetainLoss

LR = 0.2


class Watch(Callback):
    """Keeps the first batches, and the weights around each step."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.weights: list[torch.Tensor] = []
        self.steps = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.weights.append(self.flat(pl_module))
        self.batches.append(batch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step > self.steps:
            self.steps = trainer.global_step
            self.weights.append(self.flat(pl_module))

    @staticmethod
    def flat(module: Any) -> torch.Tensor:
        return torch.nn.utils.parameters_to_vector(module.trainable_parameters().values()).detach().clone()


@pytest.fixture
def steps(trace: Any, make_data: Any, model_folders: Any) -> Any:
    def run(rectify: Any, size: int = 8, accumulation: int = 1, count: int = 3) -> Watch:
        watch = Watch()
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64",
            unlearning_objective=Objective(retain=[RetainLoss(0.7)], rectify=rectify),
            optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        )  # fmt: skip
        trace(
            data=make_data(batch_size=size), module=module, steps=count, callbacks=(watch,),
            accumulate_grad_batches=accumulation,
        )  # fmt: skip
        return watch

    return run


def test_the_golden_values() -> None:
    one = {"w": torch.tensor([1.0, -2.0, 0.5])}
    found, product = remove_conflict(one, {"w": torch.tensor([1.0, 1.0, 0.0])})
    assert found["w"].tolist() == [1.5, -1.5, 0.5]
    assert product == -1.0
    kept, product = remove_conflict(one, {"w": torch.tensor([1.0, 0.0, 0.0])})
    assert kept["w"] is one["w"]
    assert product == 1.0


def test_the_first_step_has_no_component_against_the_retained_gradient(steps: Any, model_folders: Any) -> None:
    watch = steps(GRU(descends=False), count=1)
    module = Unlearning(model_folders("gpt2", "float64"), dtype="float64", dropout=False)
    module.configure_model()
    parameters = list(module.trainable_parameters().values())
    torch.nn.utils.vector_to_parameters(watch.weights[0], parameters)

    def gradient(batch: Any) -> torch.Tensor:
        found = torch.autograd.grad(module.mean_loss(batch), parameters)
        return torch.cat([g.flatten() for g in found])

    batch = watch.batches[0]
    forget, retain = -gradient(batch), 0.7 * gradient(batch["retain"])
    assert forget @ retain < 0
    expected = forget - (forget @ retain) / (retain @ retain) * retain
    torch.testing.assert_close((watch.weights[0] - watch.weights[1]) / LR, expected, rtol=1e-8, atol=1e-10)
    assert abs(float(expected @ retain)) < 1e-10


@pytest.mark.parametrize(("size", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_the_same_effective_batch_gives_the_same_updates(steps: Any, size: int, accumulation: int) -> None:
    whole, cut = steps(GRU()), steps(GRU(), size, accumulation)
    assert len(whole.weights) == len(cut.weights) == 12
    for a, b in zip(whole.weights, cut.weights, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-12)
    plain = steps(None)
    assert not torch.allclose(plain.weights[3], whole.weights[3], atol=1e-6)


def test_each_episode_begins_a_new_average(steps: Any) -> None:
    gru = GRU()
    first = steps(gru).weights[:4]
    again = steps(gru).weights[:4]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_what_makes_no_sense_is_refused(model_folders: Any) -> None:
    with pytest.raises(ValueError, match="give a number above 0 and at most 1"):
        GRU(momentum=0)
    (problem,) = Unlearning(model_folders(), unlearning_objective=Objective(rectify=GRU())).problems()
    assert "holds the forget term's gradient against that of retain terms; give at least one" in problem
