"""A progress bar for passes over datasets in which nothing is trained."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.duration_estimate import TIMED_BATCHES, WARM_UP_BATCHES, now
from lightning_untrac.callbacks.episode_progress import EpisodeProgress
from typing_extensions import override

from lightning_untrac.functional.costs import duration
from lightning_untrac.naming import counted

NAMES = {"gradient": "gradient", "squares": "squared gradients", "loss": "loss"}


class PassProgress(EpisodeProgress):
    """One bar over all batches of all passes; it names the quantity and the dataset.

    Where every pass computes the same quantity, the first batches tell how long all of them will take.

    Args:
        name: what the bar calls this run, e.g. ``graddot``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._timed, self._began = 0, 0.0

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        # A line a pass would be hundreds.
        if trainer.current_epoch == 0:
            self._say(f"{self.name}: {counted(len(_data(trainer).passes), 'pass')} over datasets")
        if self._progress is not None:
            self._progress.update(self._task, description=self._describe(trainer))

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._timed += 1
        if self._timed == WARM_UP_BATCHES:
            self._began = now(pl_module)
        passes = _data(trainer).passes
        if self._timed == WARM_UP_BATCHES + TIMED_BATCHES and len({one.quantity for one in passes}) == 1:
            seconds = (now(pl_module) - self._began) / TIMED_BATCHES * self._total(trainer)
            number = counted(len(passes), "pass")
            self.announce(f"{self.name}: {number} over datasets in all, about {duration(seconds)}")

    @override
    def _is_single(self, trainer: L.Trainer) -> bool:
        return False

    @override
    def _show(self, trainer: L.Trainer, loss: str) -> None:
        self._say(f"{self.name}: {self._describe(trainer)}")

    @override
    def _loss(self, trainer: L.Trainer, outputs: Any) -> str:
        return ""

    @override
    def _describe(self, trainer: L.Trainer) -> str:
        passes = _data(trainer).passes
        number = min(trainer.current_epoch, len(passes) - 1)
        return f"{NAMES[passes[number].quantity]} of {passes[number].dataset}, pass {number + 1} of {len(passes)}"

    @override
    def _lengths(self, trainer: L.Trainer) -> list[int]:
        data = _data(trainer)
        return [data.num_batches(one) for one in data.passes]


def _data(trainer: L.Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]
