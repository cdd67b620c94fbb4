"""What the tests put into processes of their own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy


class FSDPOnCPU(FSDPStrategy):
    """Lightning refuses FSDP1 without a GPU; torch itself runs it on the CPU when it is told to."""

    @contextmanager
    def model_sharded_context(self) -> Iterator[None]:
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.distributed.fsdp.wrap import enable_wrap

        with enable_wrap(
            wrapper_cls=FullyShardedDataParallel,
            sharding_strategy=self.sharding_strategy,
            mixed_precision=self.mixed_precision_config,
            device_id=torch.device("cpu"),
            **self.kwargs,
        ):
            yield


class Witness(Callback):
    """Writes down how many weights each rank holds, and which examples it has seen.

    Args:
        folder: where a json file a rank goes.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.read: list[tuple[int, int]] = []
        self.trained: list[int] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.trained += batch["example_index"].tolist()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.read = []

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.read += zip(batch["dataset_index"].tolist(), batch["example_index"].tolist(), strict=True)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        kept = next(c for c in trainer.callbacks if type(c).__name__ == "PreUnlearningWeights")
        held = {"kept": sum(t.numel() for t in kept._kept.values()), "read": self.read, "trained": self.trained}
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps(held))


class Lost(Callback):
    """Kills a rank before its first step."""

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


class KillOnce(Callback):
    """Kills every rank before a step, the first time that a run comes there; steps of one micro-batch.

    Args:
        steps: that were begun before.
        mark: name of a file a rank, which says that it was killed.
        heals: whether only steps that heal count.
    """

    def __init__(self, steps: int, mark: str, heals: bool = False) -> None:
        self.steps, self.mark, self.heals = steps, mark, heals
        self.begun = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.heals and not pl_module.healing:
            return
        mark = Path(f"{self.mark}.{trainer.global_rank}")
        if self.begun == self.steps and not mark.exists():
            mark.touch()
            trainer.strategy.barrier()  # so that neither is gone before the other has its mark
            os.kill(os.getpid(), signal.SIGKILL)
        self.begun += 1
