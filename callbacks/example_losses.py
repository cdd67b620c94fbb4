"""The loss of every example, for ``untrac evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.example_sums import ExampleSums
from typing_extensions import override

from lightning_untrac.tables import write_table


class ExampleLosses(Callback):
    """Write a row an example after a validation: dataset, index, content hash, loss sum (nats) and target tokens.

    Args:
        path: of the parquet file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._sums = ExampleSums({})

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        datasets = data.tokenized_corpora | data.tokenized_test_sets
        self._sums = ExampleSums({name: len(datasets[name]) for name in data.evaluation_names})

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        self._sums.add(trainer.datamodule.evaluation_names, outputs, batch)  # type: ignore[attr-defined]

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        import pyarrow as pa

        self._sums.sum_over_ranks(trainer)
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        datasets = data.tokenized_corpora | data.tokenized_test_sets
        tables = []
        for name, loss_sums in self._sums.loss_sums.items():
            measured = self._sums.measured(name)
            columns = {
                "dataset": pa.repeat(name, len(measured)),
                "example": pa.array(measured, pa.int64()),
                "content_hash": datasets[name].content_hashes(measured),
                "loss": pa.array(loss_sums[measured], pa.float64()),
                "num_tokens": pa.array(self._sums.num_tokens[name][measured], pa.int64()),
            }
            tables.append(pa.table(columns))
        write_table(self.path, pa.concat_tables(tables))
