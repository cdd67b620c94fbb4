"""Steps on retained data alone, after forgetting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks import Healing, ReadingSchedule, UntilRise

from lightning_untrac import EpisodePlan, Unlearning
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives import GradientAscent, Objective, RetainLoss

RATE, HEALING_RATE = 0.05, 0.2


class Watch(Callback):
    """Keeps each step's batch and its measured loss, and the weights after forgetting."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.losses: list[float] = []
        self.forgot: list[torch.Tensor] | None = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)
        if pl_module.healing and self.forgot is None:
            self.forgot = [p.detach().clone() for p in pl_module.model.parameters()]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["measured_loss"]))


@pytest.fixture
def heal(make_data: Any, model_folders: Any) -> Callable[..., tuple[Any, Watch]]:
    """Forget ``birds`` and heal, with plain SGD; returns the module and what was watched."""

    def run(
        callbacks: tuple[Callback, ...] = (), *, steps: int = 2, healing: int = 3, batch_size: int = 4,
        accumulation: int = 1, retain: bool = True, extra: int | None = None, last: tuple[Callback, ...] = (),
        ckpt_path: Path | None = None, **flags: Any,
    ) -> tuple[Any, Watch]:  # fmt: skip
        data = make_data(batch_size=batch_size)
        data.plan = EpisodePlan("one", only=("birds",), steps=steps, extra_steps=healing if extra is None else extra)
        module = Unlearning(
            model_folders(),
            unlearning_objective=Objective(GradientAscent(), [RetainLoss(weight=2)] if retain else []),
            optimizer=lambda p: torch.optim.SGD(p, lr=RATE),
        )
        watch = Watch()
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, **flags, accumulate_grad_batches=accumulation,
            callbacks=[watch, *callbacks, Healing(healing, HEALING_RATE), *last], enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
        return module, watch

    return run


def flat(module: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.model.parameters()])


def test_healing_is_descent_on_the_retained_batches_at_a_rate_that_falls(heal: Any) -> None:
    module, watch = heal()
    ended = flat(module)
    assert watch.forgot is not None
    assert len(watch.batches) == 5
    # Again by hand, from where forgetting ended.
    with torch.no_grad():
        for parameter, before in zip(module.model.parameters(), watch.forgot, strict=True):
            parameter.copy_(before)
    for number, batch in enumerate(watch.batches[2:]):
        module.zero_grad()
        (2 * module.mean_loss(batch["retain"])).backward()
        with torch.no_grad():
            for parameter in module.model.parameters():
                parameter -= HEALING_RATE * (1 - number / 3) * parameter.grad
    torch.testing.assert_close(flat(module), ended, rtol=0, atol=1e-6)


def test_the_same_effective_batch_heals_the_same(heal: Any) -> None:
    whole, _ = heal((UntilRise(0.05),), steps=12)
    cut, _ = heal((UntilRise(0.05),), steps=12, batch_size=1, accumulation=4)
    torch.testing.assert_close(flat(whole), flat(cut), rtol=0, atol=1e-5)


def test_a_run_goes_on_inside_healing(heal: Any, tmp_path: Path) -> None:
    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "4.ckpt")

    options = {"steps": 8, "healing": 6, "last": (Save(),)}
    whole, _ = heal((UntilRise(0.01),), **options)
    resumed, watch = heal((UntilRise(0.01),), **options, ckpt_path=tmp_path / "4.ckpt")
    assert len(watch.losses) == whole.trainer.global_step - 4
    assert torch.equal(flat(resumed), flat(whole))


def test_forgetting_ends_at_the_share_of_the_way(heal: Any) -> None:
    rise = UntilRise(0.2)
    module, watch = heal((rise,), steps=40, healing=2)
    first = watch.losses[0]
    level = first + 0.2 * (torch.tensor(module.vocabulary_size).log().item() - first)
    assert rise.level == pytest.approx(level)
    step = next(number for number, value in enumerate(watch.losses, 1) if value >= level)
    assert step < 40
    assert rise.reason == f"the loss {watch.losses[step - 1]:.2f} is 20% of the way to a uniform guess"
    assert len(watch.losses) == step + 2


def test_a_reading_shows_where_healing_begins(heal: Any) -> None:
    class Due(Callback):
        steps: list[int] = []

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.val_check_batch == batch_idx + 1:
                self.steps.append(batch_idx + 1)

    # The schedule of the verb stands behind Healing; here it comes first, and sees the flag one step later.
    heal((ReadingSchedule(1), Due()), steps=3, healing=4)
    assert Due.steps == [4, 7]


def test_a_limit_of_the_trainer_leaves_one_step_to_forget(heal: Any) -> None:
    module, watch = heal(limit_train_batches=3)
    assert watch.forgot is not None
    assert module.trainer.global_step == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"retain": False}, "no retain term to heal with"), ({"extra": 0}, "extra_steps=3")],
)
def test_what_cannot_heal_is_said(heal: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        heal(**options)


@pytest.mark.parametrize(
    "make", [lambda: Healing(0), lambda: Healing(3, 0.0), lambda: UntilRise(0), lambda: UntilRise(2)]
)
def test_wrong_values_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="give"):
        make()
