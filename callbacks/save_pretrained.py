"""Save a phase's model as a transformers folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.data.saved_tokenizers import encodes_alike, reading_problems
from lightning_untrac.data.tokenizers import load_tokenizer, tokenizer_fingerprint
from lightning_untrac.errors import UntracError
from lightning_untrac.sharding import whole_weights
from lightning_untrac.tables.checksums import write_checksums

PUT_IN_PLACE_TRIES = 10


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
        _remove_leftovers(folder)
        # A name of its own: two commands that save into one folder must not write into each other's files.
        mark = f"{socket.gethostname()}-{os.getpid()}"
        beside = folder.with_name(f".{folder.name}.{mark}.partial")
        module.model.save_pretrained(beside, state_dict=weights)
        module.tokenizer.save_pretrained(beside)
        _check_tokenizer(module.tokenizer, beside, folder)
        write_checksums(beside)
        replaced = folder.with_name(f".{folder.name}.{mark}.replaced")
        for _ in range(PUT_IN_PLACE_TRIES):
            with contextlib.suppress(FileNotFoundError):  # there is none yet, or another command has just moved it
                folder.rename(replaced)
            try:
                beside.rename(folder)
                break
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another command was between the two renames
                    raise
                shutil.rmtree(replaced, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)
    trainer.strategy.barrier("save_pretrained")


class SavedTokenizerWarning(UserWarning):
    """A saved tokenizer is read as another one than the one that was used."""


_checked: set[tuple[str, str]] = set()
"""Tokenizers that were read back in this process, each beside a model of a type: the next folder says the same."""


def _check_tokenizer(tokenizer: Any, saved: Path, folder: Path) -> None:
    """Read a tokenizer back and warn where a text comes out otherwise. No error: the weights beside it are right."""
    config = saved / "config.json"  # adapters have none
    key = (tokenizer_fingerprint(tokenizer), config.read_text() if config.is_file() else "")
    if key in _checked:
        return
    _checked.add(key)
    try:
        problems = reading_problems(tokenizer, saved)
        if problems and not encodes_alike(load_tokenizer(str(saved)), tokenizer):
            problems = ["the tokenizer can't be read back as it was used; name it as model.tokenizer from now on"]
    except UntracError as error:
        problems = [f"the tokenizer can't be read back ({error}); name it as model.tokenizer from now on"]
    for problem in problems:
        warnings.warn(f"{folder}: {problem}", SavedTokenizerWarning, stacklevel=3)


def _remove_leftovers(folder: Path) -> None:
    """Of commands on this machine that were killed while they saved."""
    here = f".{folder.name}.{socket.gethostname()}-"
    for path in folder.parent.glob(".*"):
        owner = path.stem.removeprefix(here)
        if path.name.startswith(here) and path.suffix in (".partial", ".replaced") and owner.isdigit():
            if int(owner) != os.getpid() and _is_alive(int(owner)):
                continue
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        pass
    return True
