"""Keep how far apart two models are on every example, and what is measured of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.example_arrays import ExampleArrays
from typing_extensions import override

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import Measure
from lightning_untrac.metrics.distances import DISTANCES


class DistanceRecorder(Callback):
    """Collect what a validation of two models gives, each example's from the rank that measured it.

    Args:
        measures: of the model.
        of_reference: of the one that it is held against.

    Attributes:
        arrays: ``<measure>/value`` and ``<measure>/weight`` to dataset to ``[examples]`` float64, on every rank; of the
            distances and of the model.
        reference_arrays: the same of the other model.
    """

    def __init__(self, measures: Sequence[Measure] = (), of_reference: Sequence[Measure] = ()) -> None:
        self.arrays: dict[str, dict[str, Floats]] = {}
        self.reference_arrays: dict[str, dict[str, Floats]] = {}
        self.measures, self.of_reference = measures, of_reference
        self._begin(None)

    def _begin(self, data: Any) -> None:
        mine = [*DISTANCES, *(measure.name for measure in self.measures)]
        self._measured = ExampleArrays.of_measures(mine, data)
        self._of_reference = ExampleArrays.of_measures([measure.name for measure in self.of_reference], data)

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer.datamodule)  # type: ignore[attr-defined]

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        names = trainer.datamodule.evaluation_names  # type: ignore[attr-defined]
        self._measured.add_measured(names, outputs["measured"], batch)
        self._of_reference.add_measured(names, outputs["of_reference"], batch)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured.settle(trainer, self.measures)
        self._of_reference.settle(trainer, self.of_reference)
        self.arrays, self.reference_arrays = self._measured.arrays, self._of_reference.arrays
