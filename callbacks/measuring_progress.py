"""A progress bar for one pass over all datasets in which a model is measured."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.episode_progress import SECONDS_BETWEEN_LINES, EpisodeProgress
from typing_extensions import override

from lightning_untrac.naming import counted


class MeasuringProgress(EpisodeProgress):
    """Name the model that is measured and the number of datasets, and show how many batches are done.

    Args:
        name: what the lines call this run, e.g. ``evaluate``.
        model: what the model is called; by default the module's own name.
    """

    unit = "batches"

    def __init__(self, name: str, model: str | None = None) -> None:
        super().__init__(name)
        self.model = model

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        model = self.model or getattr(pl_module, "name_or_path", None) or f"a new {type(pl_module).__name__}"
        self.announce(f"{self.name}: measuring {model} on {counted(len(data.evaluation_names), 'dataset')}")
        self._batches, self._total_batches = 0, int(sum(trainer.num_val_batches))
        self._start("measuring", self._total_batches)
        self._shown = time.monotonic()

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._batches += 1
        if self._progress is not None:
            self._progress.advance(self._task)
        elif time.monotonic() - self._shown > SECONDS_BETWEEN_LINES:
            self._shown = time.monotonic()
            self._say(f"{self.name}: batch {self._batches} of {self._total_batches}")

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()
