"""UnTrac-Inv, example by example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.example_arrays import ExampleArrays
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.tables.examples import ExamplesKey, ExamplesPiece, merge_examples

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("loss_sums", "num_tokens")


class ExampleRecorder(Callback):
    """Record the loss of every example of every corpus before and after each test set is unlearned.

    Loss sums are kept as they are measured, 8 bytes an example and reading, and the last reading of each episode is
    written to ``examples.parquet`` with token counts and a content hash an example. On several ranks each fills in what
    it measured, and rank 0 writes.

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
            status = getattr(pl_module, "episode_status", "ok")
            pieces = [self._piece(trainer.datamodule, name, status) for name in self._reading.arrays["num_tokens"]]  # type: ignore[attr-defined]
            merge_examples(self.store, pieces)

    def _piece(self, data: Any, name: str, status: str) -> ExamplesPiece:
        """The rows of a corpus, as a table of the asked size when it is written."""
        episode = data.current_episode
        key = ExamplesKey(self.method, name, episode.dataset, episode.seed)
        losses_after, counts = (self._reading.arrays[column][name] for column in COLUMNS)
        losses_before, measured = self._before.arrays["loss_sums"][name], np.flatnonzero(counts)

        def read(start: int, stop: int, columns: Sequence[str]) -> pa.Table:
            import pyarrow as pa

            chosen = measured[start:stop]
            before, after, num_tokens = losses_before[chosen], losses_after[chosen], counts[chosen]
            make: dict[str, Callable[[], Any]] = {
                **{column: partial(pa.repeat, value, len(chosen)) for column, value in key._asdict().items()},
                "example": lambda: pa.array(chosen, pa.int64()),
                "content_hash": lambda: data.tokenized_corpora[name].content_hashes(chosen),
                "loss_before": lambda: pa.array(before, pa.float64()),
                "loss_after": lambda: pa.array(after, pa.float64()),
                "num_tokens": lambda: pa.array(num_tokens.astype(np.int64), pa.int64()),
                "influence": lambda: pa.array((after - before) / num_tokens, pa.float64()),
                "status": lambda: pa.array(np.where(np.isfinite(after), status, "nonfinite"), pa.string()),
            }
            return pa.table({column: make[column]() for column in columns})

        return ExamplesPiece(key, len(measured), read)
