"""Checkpoints to resume training from: the two newest are kept, and a damaged one is passed over."""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, Timer
from typing_extensions import override

from lightning_untrac.callbacks import ReadingSchedule
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.episodes import DEFAULT_BATCH_SIZE
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.runs.identity import cut
from lightning_untrac.runs.run_folder import DamageWarning
from lightning_untrac.tables import atomic_path

KEPT = 2
"""Checkpoints that are kept, so that one is left where the newest is damaged."""

CHECKPOINT_COPIES = 2 + 3 * (KEPT + 1)
"""Copies of the weights on disk at most: two model folders, and the checkpoints that are kept beside the one that is
being written, with weights and two moments each."""

OBJECTIVE_COPIES = KEPT + 1
"""More of them, where an objective keeps a Fisher matrix or an average gradient in checkpoints."""


class ResumeCheckpoints(Checkpoint):
    """Save what a fit needs to go on: every so many optimizer steps, or after each pass; the newest two stay.

    Lightning's ``ModelCheckpoint`` keeps one file with ``save_last``, and with ``save_top_k`` it knows only the files
    of its own run or of the checkpoint that it resumed from.

    Where a reading follows a step, the checkpoint follows the reading: a fit that goes on never reads a step that it
    does not take, so a reading that no checkpoint knows would be lost.

    Args:
        folder: for ``step=<n>.ckpt``.
        every_n_steps: optimizer steps between two checkpoints; after each pass where None.
    """

    def __init__(self, folder: Path, every_n_steps: int | None = None) -> None:
        self.folder, self.every_n_steps = folder, every_n_steps
        self._saved_at, self._cut = -1, ""
        self._after_reading = False

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at = trainer.global_step
        self._cut = _cut(trainer, trainer.datamodule)  # type: ignore[attr-defined]

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"cut": self._cut}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass  # `last_checkpoint` has compared it

    @override
    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0:
            self._after_reading = reading_follows(trainer)
            if not self._after_reading:
                self.save(trainer)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._after_reading:
            self._after_reading = False
            self.save(trainer)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.every_n_steps is None:
            self.save(trainer)

    @override
    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        # A time limit is that of a command: one that goes on would be over before its first step.
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timer):
                checkpoint["callbacks"].pop(callback.state_key, None)
        # Lightning counts a step for the loggers after its validation, and makes up for that where it goes on from a
        # checkpoint of the end of a batch alone: the curves would go on a step too early.
        if trainer.validating:
            checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] += 1

    def save(self, trainer: L.Trainer) -> None:
        """Save now, unless this step was saved before; call it on every rank, between two optimizer steps."""
        if trainer.fast_dev_run or trainer.global_step == self._saved_at:  # type: ignore[attr-defined]
            return
        if getattr(trainer.lightning_module, "episode_ended", False):
            return  # the last reading is still to come; resumed after it, there would be none
        self._saved_at = trainer.global_step
        trainer.save_checkpoint(self.folder / f"step={trainer.global_step}.ckpt")
        older = [path for path in checkpoints(self.folder) if step_of(path) < trainer.global_step]
        for path in older[KEPT - 1 :]:
            trainer.strategy.remove_checkpoint(path)  # by the first rank alone


def reading_follows(trainer: L.Trainer) -> bool:
    """Whether a reading comes right after the step that has just ended; not asked of the last batch of an epoch."""
    schedules = (one for one in trainer.callbacks if isinstance(one, ReadingSchedule))  # type: ignore[attr-defined]
    return not trainer.is_last_batch and any(one.due for one in schedules)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own, except that a file appears whole or not at all.

    Lightning writes to the system's temporary folder and moves the file from there: across file systems that is a copy,
    which a kill cuts short, and it never waits for the disk.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # Into an open file: where torch opens it itself, a full disk comes out as "unexpected pos".
        with atomic_path(path) as beside, beside.open("wb") as file:
            torch.save(checkpoint, file)


def use_atomic_checkpoints(trainer: L.Trainer) -> None:
    """Let a Trainer write its checkpoint files atomically, unless the user chose how they are written."""
    try:
        plain = type(trainer.strategy.checkpoint_io) is TorchCheckpointIO
    except NotImplementedError:  # of a strategy that writes in a way of its own
        return
    if plain:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest first."""
    found = folder.glob("*.ckpt") if folder.is_dir() else []
    return sorted((path for path in found if not path.name.startswith(".")), key=step_of, reverse=True)


def after_success(folder: Path, keep: bool) -> str:
    """Drop the checkpoints of a training whose model is saved, or say that they stay.

    Args:
        folder: of the checkpoints.
        keep: whether they stay.

    Returns:
        A sentence for the terminal; empty where there is nothing to say.
    """
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    found = checkpoints(folder)
    if not found:
        return ""
    files = [file for path in found for file in ([path] if path.is_file() else path.rglob("*"))]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return (
        f"the checkpoints in {folder} ({size / 2**20:,.0f} MiB) stay: adam_graddot and FrozenAdam read them, and a "
        "lost model/ is saved anew from them; delete the folder if you need neither, or give --keep_checkpoints false"
    )


def last_checkpoint(folder: Path, trainer: L.Trainer, data: CorpusDataModule) -> str | None:
    """Path of the newest sound checkpoint to resume from, or None.

    One that was made after the last step is passed over: Lightning would resume it without running anything, so that no
    model would be saved. It is left only where a run was killed between that checkpoint and its model. Every rank reads
    the files and changes none, so that all come to the same answer.

    Args:
        folder: of the checkpoints.
        trainer: that is going to resume.
        data: what it is going to fit.

    Raises:
        ConfigurationError: if it was made with batches that were cut in another way.
    """
    damaged: list[str] = []
    for path in checkpoints(folder):
        cause = damage(path)
        if cause is None:
            if _at_the_end(path, trainer):
                continue
            if damaged:
                _warn(damaged, f"the run goes on from {path.name}")
            _refuse_another_cut(path, _cut(trainer, data))
            return str(path)
        damaged.append(f"{path} is damaged ({cause})")
    if damaged:
        _warn(damaged, "there is no earlier one to go on from: training begins at its first step")
    return None


def _cut(trainer: L.Trainer, data: CorpusDataModule) -> str:
    """How the batches of a Trainer's fit are made up."""
    replicas = trainer.num_devices * trainer.num_nodes
    return cut(data.batch_size or DEFAULT_BATCH_SIZE, trainer.accumulate_grad_batches, replicas)


def _refuse_another_cut(path: Path, now: str) -> None:
    """Lightning counts micro-batches: with others, the place in the data would be another one."""
    states = _load(path).get("callbacks", {})
    made = next((state["cut"] for state in states.values() if isinstance(state, dict) and "cut" in state), None)
    if made is not None and made != now:
        raise ConfigurationError(
            [
                f"checkpoint: {path} was made with batches of {made}, and these are {now}; give the same "
                "data.batch_size, trainer.accumulate_grad_batches and devices to go on, or delete the folder "
                f"{path.parent} to begin anew"
            ]
        )


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is sound.

    A file is sound if the CRC-32 of each of its parts is right. Of a folder (a sharded checkpoint), which has no
    checksums, the lengths are compared and what is not a weight is loaded.

    Args:
        path: a file or a folder.
    """
    try:
        if path.is_dir():
            return _damage_of_folder(path)
        with zipfile.ZipFile(path) as file:
            part = file.testzip()
        if part is not None:
            return f"the checksum of {part} is wrong"
        _load(path)
    # torch, pickle and zipfile raise many unrelated classes for files that are none of their own
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def _damage_of_folder(path: Path) -> str | None:
    from torch.distributed.checkpoint import FileSystemReader

    if not (path / ".metadata").is_file():
        return "it was not written to its end: .metadata is missing"
    stored = FileSystemReader(path).read_metadata().storage_data or {}
    for part in stored.values():
        file = path / part.relative_path
        if not file.is_file() or file.stat().st_size < part.offset + part.length:
            return f"{part.relative_path} is missing or cut short"
    _load(path)
    return None


def _load(path: Path) -> dict[str, Any]:
    """A checkpoint's content; that of a folder without the weights."""
    file = path / "meta.pt" if path.is_dir() else path
    # Memory-mapped: the weights are not read.
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def _at_the_end(path: Path, trainer: L.Trainer) -> bool:
    content = _load(path)
    if 0 < trainer.max_steps <= content["global_step"]:
        return True
    loops = content["loops"]["fit_loop"]
    epochs = loops["epoch_progress"]["current"]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    passes = trainer.max_epochs or 1
    return (batches["is_last_batch"] and epochs + 1 >= passes) or epochs >= passes


def step_of(path: Path) -> int:
    """The optimizer step in a checkpoint's name."""
    found = re.fullmatch(r"step=(\d+)\.ckpt", path.name)
    return int(found[1]) if found else -1


def _warn(damaged: list[str], then: str) -> None:
    warnings.warn(f"{'; '.join(damaged)}; {then}", DamageWarning, stacklevel=3)
