"""How long training itself takes, without the readings on its way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from typing_extensions import override


class TrainingTime(Callback):
    """Wall time from the start of a fit to its last step, but for validation: one asks for readings, not unlearning.

    What is prepared before the first step counts (the outputs of the model before unlearning, a Fisher matrix),
    start-up and saving do not. A run that goes on from a checkpoint goes on from the time in it: steps that are lost do
    not count. Put it first, so that what other callbacks do at the end is left out.

    Args:
        tell: called with the seconds once training has ended, on every rank.

    Attributes:
        seconds: of training so far.
    """

    def __init__(self, tell: Callable[[float], Any] | None = None) -> None:
        self.tell = tell
        self._before = 0.0
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self._before + (0.0 if self._began is None else time.perf_counter() - self._began)

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._began = time.perf_counter()

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause(pl_module)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._began = time.perf_counter()

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause(pl_module)
        if self.tell is not None:
            self.tell(self.seconds)

    def _pause(self, module: L.LightningModule) -> None:
        if module.device.type != "cpu":
            torch.accelerator.synchronize()  # steps that are still queued are none of the reading's
        self._before, self._began = self.seconds, None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = float(state_dict["seconds"])
