"""Save a phase's model as a transformers folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.results.checksums import write_checksums
from lightning_untrac.sharding import whole_weights


class SavePretrained(Callback):
    """Save the model (safetensors) and its tokenizer at the end of a fit, as ``from_pretrained`` reads them.

    The weights are gathered by the strategy, on all ranks, and written by the first one, beside the final folder, which
    is then put in place: a folder that exists is whole.

    Args:
        folder: for the trained model.
        initial_folder: for the model as it was before the first step (the start of leave-out retraining); None to not
            keep it.
    """

    def __init__(self, folder: str | Path, initial_folder: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.initial_folder = Path(initial_folder) if initial_folder is not None else None

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A resumed fit starts from other weights; its first start has saved the folder already.
        if self.initial_folder is not None and trainer.global_step == 0:
            save_pretrained(trainer, pl_module, self.initial_folder)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        save_pretrained(trainer, pl_module, self.folder)


def save_pretrained(trainer: L.Trainer, module: Any, folder: Path) -> None:
    """Write ``module.model`` and its tokenizer to ``folder``, whole or not at all; call it on every rank.

    SHA-256 of every file goes with them (``checksums.json``), and verbs that load the folder check them.
    """
    weights = whole_weights(module.model)  # a collective under sharded strategies
    if trainer.is_global_zero:
        beside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        module.model.save_pretrained(beside, state_dict=weights)
        module.tokenizer.save_pretrained(beside)
        write_checksums(beside)
        replaced = folder.with_name(f".{folder.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        beside.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    trainer.strategy.barrier("save_pretrained")
