"""How long the training of a run folder took: what retraining takes too, by default."""

from __future__ import annotations

from typing import TypedDict

from lightning_untrac.runs.run_files import DamagedFileError, RunFiles

TOOK = "pretrain.json"
"""The file that says it."""


class Took(TypedDict):
    """What ``untrac pretrain`` took.

    Attributes:
        steps: optimizer steps.
        passes: passes over the mixture.
    """

    steps: int
    passes: float


def training_took(folder: RunFiles) -> Took | None:
    """What training took; None where there was none.

    Args:
        folder: the output folder.

    Raises:
        DamagedFileError: if the file that says it is damaged, and its copy too.
    """
    content = folder.read_json(TOOK, {})
    if not content:
        return None
    steps, passes = content.get("steps"), content.get("passes")
    numbers = isinstance(steps, int) and isinstance(passes, int | float)
    if not numbers or isinstance(steps, bool) or isinstance(passes, bool):
        advice = "delete it, and the `untrac pretrain` that wrote it writes it again"
        raise DamagedFileError(folder.path / TOOK, "it does not say the steps and passes of training", advice)
    return {"steps": steps, "passes": float(passes)}
