from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks import TrainingTime
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Clock:
    """A clock that goes only where it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Line(L.LightningModule):
    """Its steps take 3 seconds and its validation batches 10."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.layer = clock, torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.clock.now += 3
        return self.layer(batch[0]).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock.now += 10

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SlowSave(Callback):
    """Comes after the last step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_start(self, *_: Any) -> None:
        self.clock.now += 1  # something is prepared

    def on_train_end(self, *_: Any) -> None:
        self.clock.now += 1000


def fit(clock: Clock, epochs: int, ckpt_path: str | None = None, **more: Any) -> tuple[float, L.Trainer]:
    told: list[float] = []
    loader = DataLoader(TensorDataset(torch.ones(4, 1)))
    trainer = L.Trainer(
        **{"accelerator": "cpu", "max_epochs": epochs, "logger": False, "enable_checkpointing": False, **more},
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=2,
        callbacks=[TrainingTime(told.append), SlowSave(clock)],
    )
    trainer.fit(Line(clock), loader, loader, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    (seconds,) = told
    return seconds, trainer


def test_steps_count_and_readings_do_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    seconds, trainer = fit(clock, 1)
    assert seconds == 1 + 4 * 3
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    clock.now += 5000  # nothing runs
    again, _ = fit(clock, 2, str(tmp_path / "one.ckpt"))
    assert again == seconds + 1 + 4 * 3


def test_without_readings_it_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    seconds, _ = fit(clock, 1, limit_val_batches=0)
    assert seconds == 1 + 4 * 3
