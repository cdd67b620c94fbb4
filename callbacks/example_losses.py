"""The loss of every example, for ``untrac evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.results import write_table


class ExampleLosses(Callback):
    """Write a row an example after a validation: dataset, index, content hash, loss sum (nats) and target tokens.

    Args:
        path: of the parquet file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: list[tuple[int, int, float, int]] = []

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise ConfigurationError(["examples: recording single examples works on one device; run it with devices=1"])

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._rows = []

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        columns = (batch["dataset_index"], batch["example_index"], outputs["loss_sums"], outputs["num_tokens"])
        self._rows += [row for row in zip(*(c.tolist() for c in columns), strict=True) if row[0] >= 0]

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        import pyarrow as pa

        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        names = data.evaluation_names
        datasets = data.tokenized_corpora | data.tokenized_test_sets
        rows = sorted(self._rows)
        table = pa.table(
            {
                "dataset": pa.array([names[r[0]] for r in rows], pa.string()),
                "example": pa.array([r[1] for r in rows], pa.int64()),
                "content_hash": pa.array([datasets[names[r[0]]].content_hash(r[1]) for r in rows], pa.string()),
                "loss": pa.array([r[2] for r in rows], pa.float64()),
                "num_tokens": pa.array([r[3] for r in rows], pa.int64()),
            }
        )
        write_table(self.path, table)
