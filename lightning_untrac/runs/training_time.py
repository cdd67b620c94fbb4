"""Wall time of training, written down by the model that it gave."""

from __future__ import annotations

from pathlib import Path

from lightning_untrac.callbacks.training_time import TrainingTime
from lightning_untrac.results.training_time import TRAINING_SECONDS
from lightning_untrac.runs.run_files import RunFiles


def timed(folder: RunFiles, model: Path) -> TrainingTime:
    """What tells ``run.json`` how long a model's training took.

    It stands there and not in a table: tables come out the same in every run.

    Args:
        folder: the output folder.
        model: where the model is saved, in that folder.
    """
    name = model.relative_to(folder.path).as_posix()
    return TrainingTime(lambda seconds: folder.add_to_run(**{TRAINING_SECONDS: {name: round(seconds, 2)}}))
