"""Throw away what a stage left in the output folder, and what was computed from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning_untrac.naming import name_in_method
from lightning_untrac.runs.saved_models import digest_of
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.tables.distances import DISTANCES, JUDGEMENTS
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES
from lightning_untrac.tables.latent import JUDGED_LATENT
from lightning_untrac.tables.measurements import MEASUREMENTS, SUMMARY, drop_rows
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY, OUTLIERS
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS
from lightning_untrac.verb import method_of_stage, traits, verb_of_stage

DERIVED = ("comparison.parquet", "report.html")
"""Files that are made from several stages' results; ``compare`` and ``report`` make them again."""

OF_MODELS = (
    *(DISTANCES, JUDGEMENTS, JUDGED_EXAMPLES, JUDGED_MEASURES, JUDGED_LATENT),
    *(MEMORISATION, MEMORISATION_SUMMARY, MEMORISATION_STEPS, OUTLIERS),
)
"""The same of several stages' models; ``judge`` makes them again."""


def discard(folder: Path, state: Path, stage: str, claims: dict[str, dict[str, Any]]) -> None:
    """Remove a stage's results, and those of every stage that began from its model.

    A trace of a model that is gone would look like one of the model that takes its place.

    Args:
        folder: the output folder.
        state: its hidden folder.
        stage: e.g. ``pretrain``.
        claims: stage to what it was claimed with, of all stages in the folder.
    """
    if traits(verb_of_stage(stage)).repeats:
        return  # its rows say which model they are of, and nothing is computed from them
    marks = [state / f"{stage}{ending}" for ending in (".done.json", ".data.json", ".json")]
    for path in (*marks, folder / f"{stage}.json"):
        path.unlink(missing_ok=True)
    models = traits(verb_of_stage(stage)).models(folder, stage)
    for name in (*DERIVED, *(OF_MODELS if models else ())):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "checkpoints" / stage, ignore_errors=True)
    _discard_rows(folder, stage)
    rest = {name: claim for name, claim in claims.items() if name != stage}
    for name in [name for name, claim in rest.items() if _begins_from(name, claim, models)]:
        rest.pop(name)
        discard(folder, state, name, rest)
    for model in models:
        shutil.rmtree(model, ignore_errors=True)
    # Last: killed before this, the same command finds the old claim and throws away the rest.
    (state / f"{stage}.claim.json").unlink(missing_ok=True)


def _begins_from(stage: str, claim: dict[str, Any], models: list[Path]) -> bool:
    """By what the models hold, because the folder may have been moved, and by where they are."""
    digests = {digest_of(model) for model in models if model.is_dir()}
    if digests & {claim.get("model_files"), claim.get("trained_model_files")}:
        return True
    used = [claim.get(key) for key in ("model.init_args.name_or_path", "trained_model", "reference")]
    gone = {model.resolve() for model in models}
    if traits(verb_of_stage(stage)).retrains and "trained_model" not in claim:  # then it is the folder's own model/
        used += [str(model) for model in models if model.name == "model"]
    return any(path is not None and Path(path).resolve() in gone for path in used)


def _discard_rows(folder: Path, stage: str) -> None:
    InfluenceStore(folder).discard(method_of_stage(stage))
    for name in (MEASUREMENTS, SUMMARY):
        drop_rows(folder, name, lambda *row: _made_by(folder, stage, *row))


def _made_by(folder: Path, stage: str, model: str, method: str, forget_set: str | None) -> bool:
    """Whether rows of measurements are of a stage's model, or of its way there."""
    verb = verb_of_stage(stage)
    models = traits(verb).models(folder, stage)
    parts = (verb, forget_set, name_in_method(method))
    on_the_way = forget_set is not None and stage == "-".join(part for part in parts if part)
    on_the_way &= method.partition(":")[0] == verb
    return on_the_way or _is_one_of(model, models)


def _is_one_of(name: str, models: list[Path]) -> bool:
    """Whether a table names one of the models, also where the folder was moved since."""
    path = Path(name)
    for model in models:
        # `org/model` is a name of the hub unless the folder itself is called `org`.
        is_path = path.is_absolute() or len(path.parts) > 2 or path.parent.name == model.parent.name
        if path.resolve() == model.resolve() or (not path.is_dir() and path.name == model.name and is_path):
            return True
    return False
