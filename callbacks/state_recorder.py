"""Keep what a classifier's head reads of each text."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_untrac.metrics.of_sets import ExampleStates
from lightning_untrac.objectives.partners import of_all_ranks


class StateRecorder(Callback):
    """Collect the ``states`` that a validation gives, of all ranks: 4 bytes a number, of what was read alone.

    Attributes:
        states: of each dataset, on every rank.
    """

    def __init__(self) -> None:
        self.states: dict[str, ExampleStates] = {}
        self._rows: list[tuple[Tensor, Tensor, Tensor]] = []

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._rows = []

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        real = batch["dataset_index"] >= 0  # the rest is filler
        columns = (batch["dataset_index"], batch["example_index"], outputs["states"].detach().float())
        which, examples, states = (column[real].cpu() for column in columns)
        self._rows.append((which, examples, states))

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        device = trainer.strategy.root_device
        which, examples, states = (
            of_all_ranks(torch.cat(column).to(device)).cpu().numpy() for column in zip(*self._rows, strict=True)
        )
        self._rows = []
        names = trainer.datamodule.evaluation_names  # type: ignore[attr-defined]
        for index, name in enumerate(names):
            mine = which == index
            order = examples[mine].argsort()
            self.states[name] = ExampleStates(examples[mine][order], states[mine][order])
