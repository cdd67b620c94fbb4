"""A progress bar for passes over datasets in which nothing is trained."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.episode_progress import EpisodeProgress
from typing_extensions import override

NAMES = {"gradient": "gradient", "squares": "squared gradients", "loss": "loss"}


class PassProgress(EpisodeProgress):
    """One bar over all batches of all passes; it names the quantity and the dataset.

    Args:
        phase: what the bar calls this run, e.g. ``graddot``.
    """

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
