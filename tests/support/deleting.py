"""A callback that deletes the run's folder while the run goes on."""

import shutil

from lightning.pytorch.callbacks import Callback


class DeleteFolder(Callback):
    """Delete a folder after the first step.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_batch_end(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
