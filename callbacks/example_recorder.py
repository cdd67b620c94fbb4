"""UnTrac-Inv, example by example."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.example_arrays import ExampleArrays
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.tables.merging import PIECE_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("loss_sums", "num_tokens")


class ExampleRecorder(Callback):
    """Record the loss of every example of every corpus before and after each test set is unlearned.

    Loss sums are kept as they are measured, 8 bytes an example and reading, and the last reading of each episode is
    written with token counts and a content hash an example: to a file in ``episodes/``, from which ``examples.parquet``
    is made. On several ranks each fills in what it measured, and rank 0 writes.

    Args:
        folder: the results folder.
        method: name in the tables.
    """

    def __init__(self, folder: str | Path, method: str = "untrac_inv") -> None:
        self.store = InfluenceStore(folder)
        self.method = method
        self._before = self._reading = ExampleArrays({}, COLUMNS)

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not data.per_example and data.block_size is not None:
            raise ConfigurationError(["examples: packed blocks are not examples; set data.per_example=true"])

    @override
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sizes = {name: len(data.tokenized_corpora[name]) for name in data.evaluation_names}
        self._reading = ExampleArrays(sizes, COLUMNS)

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                                batch_idx: int, dataloader_idx: int = 0) -> None:  # fmt: skip
        self._reading.add(trainer.datamodule.evaluation_names, outputs, batch)  # type: ignore[attr-defined]

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._reading.sum_over_ranks(trainer)
        if trainer.sanity_checking:
            self._before = self._reading
            return
        final = trainer.is_last_batch or getattr(pl_module, "episode_ended", False)
        if final and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            episode = data.current_episode
            tables = self._tables(data, getattr(pl_module, "episode_status", "ok"))
            self.store.write_examples(self.method, episode.dataset, episode.seed, tables)

    def _tables(self, data: Any, status: str) -> Iterator[pa.Table]:
        """The rows of the corpora, some at a time."""
        import pyarrow as pa

        episode = data.current_episode
        losses_before, after_and_counts = self._before.arrays["loss_sums"], self._reading.arrays
        for corpus in sorted(after_and_counts["num_tokens"]):
            losses_after, counts = (after_and_counts[column][corpus] for column in COLUMNS)
            measured = np.flatnonzero(counts)
            for start in range(0, len(measured), PIECE_ROWS):
                chosen = measured[start : start + PIECE_ROWS]
                before, after, num_tokens = losses_before[corpus][chosen], losses_after[chosen], counts[chosen]
                columns = {
                    "method": pa.repeat(self.method, len(chosen)),
                    "corpus": pa.repeat(corpus, len(chosen)),
                    "test_set": pa.repeat(episode.dataset, len(chosen)),
                    "seed": pa.repeat(episode.seed, len(chosen)),
                    "example": pa.array(chosen, pa.int64()),
                    "content_hash": data.tokenized_corpora[corpus].content_hashes(chosen),
                    "loss_before": pa.array(before, pa.float64()),
                    "loss_after": pa.array(after, pa.float64()),
                    "num_tokens": pa.array(num_tokens.astype(np.int64), pa.int64()),
                    "influence": pa.array((after - before) / num_tokens, pa.float64()),
                    "status": pa.array(np.where(np.isfinite(after), status, "nonfinite"), pa.string()),
                }
                yield pa.table(columns)
