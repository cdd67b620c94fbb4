"""The terminal and the file system around a verb: one voice, and folders that go by themselves."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac import termination
from lightning_untrac.faults import LOST_RANK
from lightning_untrac.redaction import hidden

DELIBERATE = (
    r"Found \d+ module\(s\) in eval mode",  # ascent without dropout
    r"The number of training batches .* is smaller than the logging interval",  # episodes may be short
    r"The '.*dataloader' does not have many workers",  # token ids are in memory: there is nothing for workers to do
    r"It is recommended to use `self.log\(.*sync_dist=True",  # losses are summed over the ranks before they are logged
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6's own use of a torch name
    r"`is_gradient_checkpointing` is deprecated",  # peft 0.21's of one of transformers
    r"FSDP2-wrapped module .* returned a view tensor",  # hidden states, which nothing here writes into
)
"""Hints of the libraries about what the verbs do on purpose, or what only they can mend."""

FAST_DEV_RUN = "untrac-fast-dev-run-"
"""Beginning of the names of folders whose results are thrown away."""


SHARED_FOLDER = "UNTRAC_FAST_DEV_RUN"
"""Variable in which a process tells the ranks that it starts which folder it made: its process id and the path."""


def temporary_output(output: str) -> str:
    """A folder that goes when the process ends: ``fast_dev_run`` tries everything and leaves nothing behind.

    All ranks of one machine get the same one.
    """
    if Path(output).name.startswith(FAST_DEV_RUN):
        return output
    owner, _, folder = os.environ.get(SHARED_FOLDER, "").partition(":")
    if folder and owner != str(os.getpid()):
        return folder
    if run := os.environ.get("TORCHELASTIC_RUN_ID"):  # all ranks begin at once, and torchrun is their parent
        folder = str(Path(tempfile.gettempdir()) / f"{FAST_DEV_RUN}{run}-{os.getppid()}")
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    else:
        folder = tempfile.mkdtemp(prefix=FAST_DEV_RUN)
    os.environ[SHARED_FOLDER] = f"{os.getpid()}:{folder}"
    rank_zero_only(atexit.register)(shutil.rmtree, folder, ignore_errors=True)
    return folder


@rank_zero_only
def say(text: str) -> None:
    """Print a line, from one rank only."""
    print(hidden(text), flush=True)


def quiet() -> None:
    """One voice on the terminal: the verb's own. Warnings and errors of the libraries still come through."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    observer = logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script")
    if not observer.handlers:
        observer.addHandler(_LostRank())
        observer.setLevel(logging.INFO)
    profiler = logging.getLogger("lightning.pytorch.profilers.profiler")
    if not profiler.handlers:  # its report is what the user asked for
        profiler.addHandler(_Printed())
        profiler.setLevel(logging.INFO)
        profiler.propagate = False
    for message in DELIBERATE:
        warnings.filterwarnings("ignore", message)
    if warnings.formatwarning is not _plain_format:
        global _libraries_format
        _libraries_format, warnings.formatwarning = warnings.formatwarning, _plain_format


class _LostRank(logging.Handler):
    """Ends with a message where Lightning is about to kill this process, because a rank that it has started is gone."""

    def emit(self, record: logging.LogRecord) -> None:
        if "terminated with code" in record.getMessage():
            termination.end_with_a_lost_rank(LOST_RANK)


class _Printed(logging.Handler):
    """Prints what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


_libraries_format = warnings.formatwarning


def _plain_format(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
    """Our own warnings are said to the user, without the line of code that says them."""
    if category.__module__.startswith("lightning_untrac"):
        return f"untrac: warning: {hidden(str(message))}\n"
    return _libraries_format(hidden(str(message)), category, *where, **more)
