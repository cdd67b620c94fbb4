"""Gradients of a forget set under the models that the original's training has kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from lightning_untrac.attribution.training_record import training_folder
from lightning_untrac.callbacks.keep_models import KeptModel, kept_models
from lightning_untrac.callbacks.score_recorder import ScoreRecorder
from lightning_untrac.data.some_datasets import SomeDatasets
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.kept_gradient_norm import KeptGradientNorm
from lightning_untrac.metrics.gradient_norm import GradientNorm
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.stage import Stage
from lightning_untrac.strategies import WHOLE_GRADIENTS
from lightning_untrac.tables.checksums import damaged_files

NONE_KEPT: Final = (
    "{name} ({title}) is left out: {models} holds no model of the original's training; `untrac pretrain "
    "--keep_models_at '[100,200,...]'` keeps some"
)


def _kept(stage: Stage, original: str) -> tuple[Path, list[KeptModel]]:
    models = training_folder(original, stage.folder.path) / "models"
    return models, kept_models(models)


def kept_model_problems(stage: Stage, original: str) -> list[str]:
    """Which models of the original's training are damaged, before any is loaded.

    Args:
        stage: the verb's.
        original: path of the original.
    """
    return [
        f"{one.folder}: {damage}; train again, or delete it"
        for one in _kept(stage, original)[1]
        for damage in damaged_files(one.folder)
    ]


def kept_gradient_norms(stage: Stage, original: str, forget: str) -> Floats | None:
    """Read a forget set with each model that the original's training has kept; call it on every rank.

    Args:
        stage: the verb's, started.
        original: path of the original.
        forget: the forget set.

    Returns:
        ``[models, all examples]`` norms of gradients, NaN where an example has no target; None where no model was kept
        or weights are sharded, which is said.
    """
    models, kept = _kept(stage, original)
    left_out = {"name": KeptGradientNorm.name, "title": KeptGradientNorm.title.lower()}
    if not kept:
        stage.tell("info", NONE_KEPT.format(**left_out, models=models))
        return None
    if stage.shards_weights:
        stage.tell("info", f"{left_out['name']} ({left_out['title']}) is left out: {WHOLE_GRADIENTS}")
        return None
    data, measure, found = SomeDatasets(stage.data, [forget]), GradientNorm(), []
    for one in kept:
        module, recorder = stage.parsed.build_module().of_saved(str(one.folder)), ScoreRecorder([measure.name])
        module.measures = (measure,)
        only_measure(stage, module, data, recorder)
        value, weight = (recorder.arrays[f"{measure.name}/{part}"][forget] for part in ("value", "weight"))
        found.append(np.where(weight > 0, value, np.nan))
    return np.array(found)
