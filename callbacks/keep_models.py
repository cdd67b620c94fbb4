"""Keep the model as it was at chosen steps of training."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.save_pretrained import save_pretrained
from typing_extensions import override


@dataclass(frozen=True)
class KeptModel:
    """A model on the way through training.

    Attributes:
        step: optimizer steps before it.
        folder: as ``from_pretrained`` reads it.
        learning_rate: of the step that followed it (of the first parameter group).
    """

    step: int
    folder: Path
    learning_rate: float


class KeepModels(Callback):
    """Save the model to ``step-<n>/`` after chosen optimizer steps, and its learning rate to ``step-<n>.json``.

    Args:
        folder: for all of them.
        steps: optimizer steps; 0 is the model before the first one.
    """

    def __init__(self, folder: str | Path, steps: Sequence[int]) -> None:
        self.folder, self.steps = Path(folder), frozenset(steps)
        self._seen = -1

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._keep(trainer, pl_module)

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kwargs: Any) -> None:
        self._keep(trainer, pl_module)

    def _keep(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        step = trainer.global_step
        if step == self._seen or step not in self.steps:
            return
        self._seen = step
        self.folder.mkdir(parents=True, exist_ok=True)
        if trainer.is_global_zero:
            from lightning_untrac.tables import atomic_write_bytes

            # First, so that a folder which is there has its learning rate. The schedule has made its step already.
            rate = float(trainer.optimizers[0].param_groups[0]["lr"])
            content = json.dumps({"step": step, "learning_rate": rate})
            atomic_write_bytes(self.folder / f"step-{step}.json", content.encode())
        save_pretrained(trainer, module, self.folder / f"step-{step}")


def kept_models(folder: Path) -> list[KeptModel]:
    """The models that :class:`KeepModels` has kept in a folder, in the order of their steps."""
    found = []
    for path in folder.glob("step-*") if folder.is_dir() else []:
        record = path.with_name(f"{path.name}.json")
        if path.is_dir() and (match := re.fullmatch(r"step-(\d+)", path.name)) and record.is_file():
            found.append(KeptModel(int(match[1]), path, float(json.loads(record.read_text())["learning_rate"])))
    return sorted(found, key=lambda kept: kept.step)
