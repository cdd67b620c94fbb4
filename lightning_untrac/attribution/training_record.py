"""What pretraining has left behind beside the trained model."""

from __future__ import annotations

from pathlib import Path

from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.modules import LanguageModule


def training_folder(run: ScoringRun, phase: LanguageModule) -> Path:
    """The output folder of the pretraining that made a model.

    A model in a local folder lies in it, as ``model/``; otherwise it can only be the run's own.

    Args:
        run: with the folder of the results.
        phase: with the model's name or path.
    """
    path = Path(phase.name_or_path) if phase.name_or_path else None
    return path.resolve().parent if path is not None and path.is_dir() else run.folder
