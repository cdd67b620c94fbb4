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
        self._begin({})

    def _begin(self, sizes: dict[str, int]) -> None:
        mine = [*DISTANCES, *(measure.name for measure in self.measures)]
        theirs = [measure.name for measure in self.of_reference]
        self._measured, self._of_reference = (
            ExampleArrays(sizes, [f"{name}/{part}" for name in names for part in ("value", "weight")])
            for names in (mine, theirs)
        )

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._begin(dict(zip(data.evaluation_names, map(len, data.evaluation_data().parts), strict=True)))

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        for key, arrays in (("measured", self._measured), ("of_reference", self._of_reference)):
            parts = {f"{name}/{part}": getattr(said, part) for name, said in outputs[key].items()
                     for part in said._fields}  # fmt: skip
            arrays.add(trainer.datamodule.evaluation_names, parts, batch)  # type: ignore[attr-defined]

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured.settle(trainer, self.measures)
        self._of_reference.settle(trainer, self.of_reference)
        self.arrays, self.reference_arrays = self._measured.arrays, self._of_reference.arrays
