"""The terminal and the file system around a verb: one voice, and folders that go by themselves."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

DELIBERATE = (
    r"Found \d+ module\(s\) in eval mode",  # ascent without dropout
    r"The number of training batches .* is smaller than the logging interval",  # episodes may be short
    r"The '.*dataloader' does not have many workers",  # token ids are in memory: there is nothing for workers to do
    r"It is recommended to use `self.log\(.*sync_dist=True",  # losses are summed over the ranks before they are logged
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6's own use of a torch name
)
"""Lightning's hints about what the verbs do on purpose, or what only Lightning can mend."""

FAST_DEV_RUN = "untrac-fast-dev-run-"
"""Beginning of the names of folders whose results are thrown away."""


def temporary_output(output: str) -> str:
    """A folder that goes when the process ends: ``fast_dev_run`` tries everything and leaves nothing behind."""
    if Path(output).name.startswith(FAST_DEV_RUN):
        return output
    folder = tempfile.mkdtemp(prefix=FAST_DEV_RUN)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def quiet() -> None:
    """One voice on the terminal: the verb's own. Warnings and errors of the libraries still come through."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in DELIBERATE:
        warnings.filterwarnings("ignore", message)
