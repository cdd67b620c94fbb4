"""Keep what a validation says of every example, under any names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.example_arrays import ExampleArrays
from typing_extensions import override

from lightning_untrac.functional.uncertainty import Floats


class ScoreRecorder(Callback):
    """Collect what a validation gives as ``measured``, each example's numbers from the rank that measured it.

    Args:
        names: of the numbers.

    Attributes:
        arrays: ``<name>/value`` and ``<name>/weight`` to dataset to ``[examples]`` float64, on every rank.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.arrays: dict[str, dict[str, Floats]] = {}
        self.names = names
        self._measured = ExampleArrays.of_measures(names)

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured = ExampleArrays.of_measures(self.names, trainer.datamodule)  # type: ignore[attr-defined]

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        names = trainer.datamodule.evaluation_names  # type: ignore[attr-defined]
        self._measured.add_measured(names, outputs["measured"], batch)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured.sum_over_ranks(trainer)
        self.arrays = self._measured.arrays
