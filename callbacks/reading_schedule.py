"""Read the losses at chosen steps of every episode, and always at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override


def reading_steps(readings: int | Sequence[int], num_steps: int) -> set[int]:
    """Optimizer steps of an episode after which the losses are read.

    Args:
        readings: how many, evenly spread, or the steps themselves (those past the end are dropped).
        num_steps: steps of the episode; its last is always read.

    Example:
        >>> sorted(reading_steps(3, 10)), sorted(reading_steps([1, 2, 50], 10)), sorted(reading_steps(8, 2))
        ([3, 7, 10], [1, 2, 10], [1, 2])
    """
    if isinstance(readings, int):
        steps = {round(num_steps * (i + 1) / readings) for i in range(readings)} - {0}
    else:
        steps = {step for step in readings if step <= num_steps}
    return steps | {num_steps}


class ReadingSchedule(Callback):
    """Run validation after chosen optimizer steps of every episode, when it ends, and where it begins to heal.

    Lightning's own ``val_check_interval`` counts batches, needs every episode to have at least that many, and may miss
    the last; it still works beside this callback. The way in is the public attribute ``Trainer.val_check_batch``,
    which Lightning asks after ``on_train_batch_end``.

    Args:
        readings: how many readings an episode has, evenly spread, or a list of optimizer steps.

    Attributes:
        due: whether a reading comes right after the newest step, and has not been made yet.

    Raises:
        ValueError: for a number below 1.
    """

    def __init__(self, readings: int | Sequence[int] = 8) -> None:
        steps = [readings] if isinstance(readings, int) else list(readings)
        if any(step < 1 for step in steps):
            raise ValueError(f"readings: {readings}; expected a number of at least 1, or steps that are at least 1")
        self.readings = readings
        self.due = False
        self._steps: set[int] = set()
        self._interval: float = math.inf
        self._heals = False

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A fit that is resumed inside an episode has no start of an epoch.
        self._plan(trainer)
        self._heals = getattr(pl_module, "healing", False)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._plan(trainer)

    def _plan(self, trainer: L.Trainer) -> None:
        batches = int(trainer.num_training_batches)
        self._steps = reading_steps(self.readings, math.ceil(batches / trainer.accumulate_grad_batches))
        interval = trainer.val_check_batch
        # Lightning's default is "once, after the last batch", which the schedule has anyway.
        self._interval = math.inf if interval is None or interval >= batches else interval

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: object,
                           batch_idx: int) -> None:  # fmt: skip
        step, rest = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        due = rest == 0 and step in self._steps
        due |= (batch_idx + 1) % self._interval == 0
        due |= getattr(pl_module, "episode_ended", False)
        heals = getattr(pl_module, "healing", False)
        due |= heals and not self._heals
        self._heals = heals
        # inf means "after the last batch only", which Lightning decides by itself.
        trainer.val_check_batch = batch_idx + 1 if due else math.inf
        self.due = due and trainer.enable_validation

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.due = False
