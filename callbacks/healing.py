"""Heal a model after forgetting: further steps on what must stay, at the learning rate of training."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.naming import counted


class Healing(Callback):
    """After forgetting, go on with the retain terms alone at a high learning rate that falls to 0.

    Ascent on a forget set also takes away what other data taught, and it has no bottom. Training on the retained data
    gives back what those can teach. So the loss of the forget set falls towards that of a model that never saw it, and
    the result depends less on how far the ascent went. SCRUB (Kurmanji et al. 2023) also minimises the retained loss
    alone in its last passes; the learning rate is our choice (benchmarks/RESULTS.md).

    Forgetting ends when a callback calls ``module.end_forgetting()``, or ``steps`` before the end of the episode. The
    optimizer keeps its state.

    Put it before :class:`~lightning_untrac.callbacks.ReadingSchedule`, and give the DataModule's plan as many
    ``extra_steps``.

    Args:
        steps: optimizer steps of healing.
        learning_rate: of the first of them; by default the optimizer's own.

    Attributes:
        began: optimizer steps of the episode before healing; None while it forgets.

    Raises:
        ValueError: for fewer than 1 step, or a learning rate that is not above 0.
    """

    def __init__(self, steps: int, learning_rate: float | None = None) -> None:
        if steps < 1 or (learning_rate is not None and not learning_rate > 0):
            raise ValueError(f"Healing({steps}, {learning_rate}): give at least 1 step, and a learning rate above 0")
        self.steps, self.learning_rate = steps, learning_rate
        self.began: int | None = None
        self._rates: list[float] = []

    @override
    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        if not pl_module.unlearning_objective.retain:
            raise ConfigurationError(
                [
                    f"Healing({self.steps}): {pl_module.unlearning_objective} has no retain term to heal with; give "
                    "one, e.g. retain: [RetainLoss]"
                ]
            )
        pl_module.heals = True

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began, self._rates = None, []
        planned = self._planned(trainer)
        whole = trainer.limit_train_batches in (None, 1.0) and not isinstance(trainer.limit_train_batches, int)
        if planned <= self.steps and whole:
            raise ConfigurationError(
                [
                    f"Healing({self.steps}): the episode has {counted(planned, 'step')}, which leaves "
                    f"none to forget; give its plan `extra_steps={self.steps}`"
                ]
            )

    @override
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.healing:
            step = batch_idx // trainer.accumulate_grad_batches
            self.began = step if self.began is None else self.began
            self._set_rates(trainer, 1 - (step - self.began) / self.steps)

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        step, within = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        if within:
            return
        if self.began is None:
            # Batches that the Trainer's limit took away are missing at the end: one step forgets at least.
            if step == max(1, self._planned(trainer) - self.steps) and not pl_module.episode_ended:
                pl_module.end_forgetting()
        elif step - self.began == self.steps < self._planned(trainer) - self.began:
            pl_module.end_episode()

    def _planned(self, trainer: L.Trainer) -> int:
        return -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)

    def _set_rates(self, trainer: L.Trainer, share: float) -> None:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self._rates = self._rates or [self.learning_rate or group["lr"] for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate * share

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"began": self.began, "rates": self._rates}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.began, self._rates = state_dict["began"], state_dict["rates"]
