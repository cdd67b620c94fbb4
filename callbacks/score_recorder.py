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
        self._columns = [f"{name}/{part}" for name in names for part in ("value", "weight")]
        self._measured = ExampleArrays({}, self._columns)

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sizes = dict(zip(data.evaluation_names, map(len, data.evaluation_data().parts), strict=True))
        self._measured = ExampleArrays(sizes, self._columns)

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        parts = {f"{name}/{part}": getattr(said, part) for name, said in outputs["measured"].items()
                 for part in said._fields}  # fmt: skip
        self._measured.add(trainer.datamodule.evaluation_names, parts, batch)  # type: ignore[attr-defined]

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._measured.sum_over_ranks(trainer)
        self.arrays = self._measured.arrays
