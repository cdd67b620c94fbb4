"""How long the training of unlearned and of retrained models took, as ``run.json`` says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TRAINING_SECONDS: Final = "training_seconds"
"""Field of ``run.json``: place of a model in the folder to the wall time of its training, without readings."""


def training_seconds(run: Mapping[str, Any], models: Sequence[str], retrained: str | None) -> dict[str, float]:
    """Wall time of the training of models of one folder, as far as it is known.

    Args:
        run: content of ``run.json``.
        models: paths of unlearned models; those that lie elsewhere are passed over.
        retrained: path of the folder of all retrained models, for the mean of these.

    Returns:
        By path; nothing without the retrained models' time, with which all are compared.

    Example:
        >>> run = {"training_seconds": {"unlearned-a": 2.0, "retrained-a/seed-0": 9.0, "retrained-a/seed-1": 11.0}}
        >>> training_seconds(run, ["runs/x/unlearned-a", "elsewhere/unlearned-a"], "runs/x/retrained-a")
        {'runs/x/unlearned-a': 2.0, 'runs/x/retrained-a': 10.0}
    """
    if retrained is None:
        return {}
    home, name = Path(retrained).parent, Path(retrained).name
    known = {key: float(value) for key, value in run.get(TRAINING_SECONDS, {}).items() if _is_time(value)}
    again = [seconds for key, seconds in known.items() if key.startswith(f"{name}/")]
    found = {model: known[Path(model).name] for model in models
             if Path(model).parent == home and Path(model).name in known}  # fmt: skip
    return {**found, retrained: math.fsum(again) / len(again)} if found and again else {}


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
