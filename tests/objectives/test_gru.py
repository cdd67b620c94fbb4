"""GRU against its formula, by hand and however a step is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CollapseGuard, Unlearning
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.retention import remove_conflict
from lightning_untrac.objectives import (
    GRU,
    NPO,
    Descent,
    ForgetTerm,
    GradientAscent,
    Objective,
    RetainKL,
    RetainLoss,
    Term,
)

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


def test_the_clipped_form_gives_up_less_where_gradients_point_far_apart() -> None:
    m = {"w": torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)}
    far, near = ({"w": torch.tensor(g, dtype=torch.float64)} for g in ([-3.0, -2.0, 0.5], [1.0, -2.0, 0.5]))
    found, _ = remove_conflict(far, m, least_cosine=-0.5)
    assert found["w"].tolist() == pytest.approx([-1.713046, -0.713046, 0.5], abs=5e-7)
    for clipped in (-0.5, -1.0):
        assert remove_conflict(near, m, least_cosine=clipped)[0]["w"].tolist() == [1.5, -1.5, 0.5]
    assert remove_conflict(far, m)[0]["w"].tolist() == [-0.5, 0.5, 0.5]


@pytest.mark.parametrize(("dtype", "noise", "small"), [(torch.float32, 1e-6, 1e-3), (torch.float64, 1e-14, 1e-12)])
def test_a_retained_gradient_of_rounding_has_no_direction(dtype: torch.dtype, noise: float, small: float) -> None:
    g, m = torch.tensor([3.0, 4.0], dtype=dtype), torch.tensor([-1.0, 0.0], dtype=dtype)
    kept, product = remove_conflict({"w": g}, {"w": noise * m})
    assert kept["w"] is g
    assert product < 0
    found, _ = remove_conflict({"w": g}, {"w": small * m})
    assert found["w"].tolist() == pytest.approx([0.0, 4.0])


@pytest.mark.parametrize("forget", [GradientAscent, Descent])  # whose gradients are opposite: one is against rounding
def test_beside_a_kl_term_alone_the_first_step_is_the_forget_term_s(
    forget: Any, trace: Any, make_data: Any, model_folders: Any
) -> None:
    def first_step(rectify: Any) -> torch.Tensor:
        watch = Watch()
        module = Unlearning(
            model_folders("gpt2", "float32"), unlearning_objective=Objective(forget(), [RetainKL(2)], rectify=rectify),
            optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        )  # fmt: skip
        trace(data=make_data(batch_size=8), module=module, steps=1, callbacks=(watch,))
        return watch.weights[1] - watch.weights[0]

    torch.testing.assert_close(first_step(GRU()), first_step(None), rtol=0, atol=1e-6)


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
    whole, cut = steps(GRU(least_cosine=-0.3)), steps(GRU(least_cosine=-0.3), size, accumulation)
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
    with pytest.raises(ValueError, match="give a number from -1 to 0"):
        GRU(least_cosine=0.5)
    (problem,) = Unlearning(model_folders(), unlearning_objective=Objective(rectify=GRU())).problems()
    assert "holds the forget term's gradient against that of retain terms; give at least one" in problem


def test_an_episode_that_ends_inside_a_step_leaves_nothing_to_the_next(
    trace: Any, make_data: Any, model_folders: Any
) -> None:
    class EndEarly(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 2 and trainer.current_epoch == 0:  # the first micro-batch of the second step
                pl_module.end_episode()

    def run(*more: Callback) -> Watch:
        watch = Watch()
        module = Unlearning(
            model_folders("gpt2", "float64"), dtype="float64",
            unlearning_objective=Objective(retain=[RetainLoss(0.7)], rectify=GRU()),
            optimizer=lambda p: torch.optim.SGD(p, lr=LR),
        )  # fmt: skip
        trace(data=make_data(batch_size=2), module=module, steps=2, callbacks=(watch, *more), accumulate_grad_batches=2)
        return watch

    whole, cut = run().weights, run(EndEarly()).weights
    assert len(whole) == 9
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], cut[-6:], strict=True))


def test_hooks_of_a_subclass_that_do_not_call_super_lose_nothing(
    trace: Any, make_data: Any, model_folders: Any
) -> None:
    class Mine(Unlearning):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            pass

        def on_train_start(self) -> None:
            pass

        def on_fit_start(self) -> None:
            pass

        def on_save_checkpoint(self, checkpoint: Any) -> None:
            pass

    def run(cls: Any) -> list[torch.Tensor]:
        watch = Watch()
        module = cls(
            model_folders("gpt2", "float64"), dtype="float64", optimizer=lambda p: torch.optim.SGD(p, lr=LR),
            unlearning_objective=Objective(NPO(), [RetainLoss(0.7), RetainKL(2)], rectify=GRU()),
        )  # fmt: skip
        trace(data=make_data(batch_size=4), module=module, steps=2, callbacks=(watch,), accumulate_grad_batches=2)
        return watch.weights

    assert all(torch.equal(a, b) for a, b in zip(run(Unlearning), run(Mine), strict=True))


def test_an_episode_that_can_not_end_says_why(trace: Any, make_data: Any, model_folders: Any) -> None:
    class Mine(Unlearning):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if batch_idx == 1:
                self.end_episode()

    with pytest.raises(UnlearningError, match="Mine overrides on_train_batch_start; let it return"):
        trace(data=make_data(batch_size=4), module=Mine(model_folders()))


def test_a_gradient_of_the_forget_term_that_is_not_finite_is_seen(
    trace: Any, make_data: Any, model_folders: Any
) -> None:
    class Broken(ForgetTerm):
        def __call__(self, seen: Any) -> Term:
            total = -seen.forget.loss.total
            total.register_hook(lambda gradient: gradient * float("nan"))
            return Term(total, seen.forget.loss.count)

    module = Unlearning(
        model_folders(), unlearning_objective=Objective(Broken(), [RetainLoss()], rectify=GRU()),
        optimizer=lambda p: torch.optim.SGD(p, lr=LR),
    )  # fmt: skip
    _, rows, _ = trace(data=make_data(batch_size=4), module=module, callbacks=(CollapseGuard(),))
    assert {(row.step, row.status) for row in rows if row.final} == {(1, "nonfinite")}
