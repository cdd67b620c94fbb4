"""UnTrac-Inv, example by example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.results import InfluenceStore


class ExampleRecorder(Callback):
    """Record the loss of every example of every corpus before and after each test set is unlearned.

    Loss sums are kept as they are measured, 8 bytes an example and reading, and the last reading of each episode is
    written to ``examples.parquet`` with token counts and a content hash an example.

    Args:
        folder: the results folder.
        method: name in the tables.
    """

    def __init__(self, folder: str | Path, method: str = "untrac_inv") -> None:
        self.store = InfluenceStore(folder)
        self.method = method
        self._before: dict[str, np.ndarray] = {}
        self._reading: dict[str, np.ndarray] = {}
        self._num_tokens: dict[str, np.ndarray] = {}

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        from lightning_untrac.errors import ConfigurationError

        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        problems = []
        if trainer.world_size > 1:
            problems.append("examples: recording single examples works on one device; run it with devices=1")
        if not data.per_example and data.block_size is not None:
            problems.append("examples: packed blocks are not examples; set data.per_example=true")
        if problems:
            raise ConfigurationError(problems)

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sizes = {name: len(data.tokenized_corpora[name]) for name in data.evaluation_names}
        self._reading = {name: np.full(size, np.nan) for name, size in sizes.items()}
        self._num_tokens = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        names = trainer.datamodule.evaluation_names  # type: ignore[attr-defined]
        which, examples = batch["dataset_index"].cpu().numpy(), batch["example_index"].cpu().numpy()
        sums, counts = outputs["loss_sums"].cpu().numpy(), outputs["num_tokens"].cpu().numpy()
        for index in np.unique(which[which >= 0]):
            rows = which == index
            self._reading[names[index]][examples[rows]] = sums[rows]
            self._num_tokens[names[index]][examples[rows]] = counts[rows]

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            self._before = self._reading
            return
        final = trainer.is_last_batch or getattr(pl_module, "episode_ended", False)
        if final and not getattr(trainer, "fast_dev_run", False):
            self.store.append_examples(self._table(trainer, getattr(pl_module, "episode_status", "ok")))

    def _table(self, trainer: L.Trainer, status: str) -> Any:
        import pyarrow as pa

        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        episode = data.current_episode
        tables = []
        for name, after in self._reading.items():
            measured = np.flatnonzero(self._num_tokens[name] > 0)
            before, after, num_tokens = self._before[name][measured], after[measured], self._num_tokens[name][measured]
            count = len(measured)
            dataset = data.tokenized_corpora[name]
            tables.append(
                pa.table(
                    {
                        "method": pa.array([self.method] * count, pa.string()),
                        "corpus": pa.array([name] * count, pa.string()),
                        "test_set": pa.array([episode.dataset] * count, pa.string()),
                        "seed": pa.array(np.full(count, episode.seed), pa.int64()),
                        "example": pa.array(measured, pa.int64()),
                        "content_hash": pa.array([dataset.content_hash(i) for i in measured], pa.string()),
                        "loss_before": pa.array(before, pa.float64()),
                        "loss_after": pa.array(after, pa.float64()),
                        "num_tokens": pa.array(num_tokens, pa.int64()),
                        "influence": pa.array((after - before) / num_tokens, pa.float64()),
                        "status": pa.array(np.where(np.isfinite(after), status, "nonfinite"), pa.string()),
                    }
                )
            )
        return pa.concat_tables(tables)
