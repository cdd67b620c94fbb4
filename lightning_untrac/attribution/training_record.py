"""What pretraining has left behind beside the trained model."""

from __future__ import annotations

from pathlib import Path


def training_folder(name_or_path: str | None, folder: Path) -> Path:
    """The output folder of the pretraining that made a model.

    A model in a local folder lies in it, as ``model/``; otherwise it can only be the run's own.

    Args:
        name_or_path: of the model.
        folder: of the results.
    """
    path = Path(name_or_path) if name_or_path else None
    if path is None or not path.is_dir():
        return folder
    # Beside the trained model lie the weights before training, which its checkpoints are not of.
    return path.resolve().parent if path.resolve().name == "model" else path
