"""The latent spaces of a judgement's classifiers: read, and laid into one plane for their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.callbacks.state_recorder import StateRecorder
from lightning_untrac.functional.latent_plane import Projection, latent_planes
from lightning_untrac.metrics.of_sets import ExampleStates
from lightning_untrac.modules.states import States
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judging import groups_of, methods_of, right_classes
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.distances import RETAINED
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED
from lightning_untrac.tables.latent import JUDGED_LATENT, judged_latent_schema
from lightning_untrac.tables.measurements import drop_rows, filled, replace_rows

INSTALL: Final = "pip install 'lightning-untrac[latent]' -c constraints.txt"

NO_PICTURE: Final = f"no picture of the latent space: that needs the package scikit-learn; {INSTALL}"

UNKNOWN_PLACE: Final = (
    "nothing of the latent space: it could not be found out which token's hidden state the classifier reads"
)

FEWEST: Final = 3
"""Retained examples that a plane is laid through."""

TOO_FEW: Final = (
    f"no picture of the latent space: it needs {FEWEST} retained examples with a class, and one that is forgotten"
)


def projection_problems(projection: Projection, classifies: bool | None = None) -> list[str]:
    """Why the latent space can't be shown as asked.

    Args:
        projection: how states become points.
        classifies: whether the models are classifiers of whole texts; None where that is not known yet.
    """
    if projection == "umap" and find_spec("umap") is None:
        return [f"projection: umap needs the package umap-learn: {INSTALL}"]
    if projection != "pca" and classifies is False:
        return [f"projection: {projection} is of classifiers of whole texts, and the models are none; leave it out"]
    return []


def read_states(stage: Stage, models: Sequence[str]) -> dict[str, dict[str, ExampleStates]]:
    """What the heads of classifiers read of every evaluated example, a pass a model; call it on every rank.

    Args:
        stage: the verb's, started.
        models: their paths.

    Returns:
        Model to dataset to states; nothing, and that is said, where nobody knows what a head reads.
    """
    if stage.module.architecture.reads is None:
        stage.tell("info", UNKNOWN_PLACE)
        return {}
    found = {}
    for model in models:
        recorder = StateRecorder()
        only_measure(stage, States(stage.parsed.build_module().of_saved(model)), stage.data, recorder)
        found[model] = recorder.states
    return found


@rank_zero_only
def write_latent(
    stage: Stage,
    models: Compared,
    forget: str,
    states: Mapping[str, Mapping[str, ExampleStates]],
    projection: Projection,
) -> None:
    """Write the points of the original, the unlearned and the first retrained model.

    Args:
        stage: the verb's.
        models: of one forget set.
        forget: its name.
        states: model to dataset to states, see :func:`read_states`.
        projection: how states become points.
    """
    import pyarrow as pa

    drop_rows(stage.folder.path, JUDGED_LATENT, lambda model, method, forget_set: forget_set == forget)
    if not states:
        return
    if find_spec("sklearn") is None:
        stage.tell("info", NO_PICTURE)
        return
    (seed, first), methods = next(iter(models.retrained.items())), methods_of(stage, models, forget)
    roles = {models.original: ORIGINAL, **dict.fromkeys(models.unlearned, UNLEARNED), first: RETRAINED}
    names = [*groups_of(stage, forget).get(RETAINED, []), forget]
    read, right = [(name, states[models.original][name].examples) for name in names], right_classes(stage.data)
    classes = np.concatenate([right[name][examples] for name, examples in read])
    known = ~np.isnan(classes)
    datasets = np.repeat(names, [len(examples) for _, examples in read])[known]
    gone = datasets == forget
    if (~gone).sum() < FEWEST or not gone.any():
        stage.tell("info", TOO_FEW)
        return
    every = [np.concatenate([states[path][name].states for name in names])[known] for path in roles]
    planes = latent_planes([one[~gone] for one in every], [one[gone] for one in every], projection)
    labels = [str(stage.module.task.labels[int(one)]) for one in classes[known]]
    columns: dict[str, Any] = {"dataset": datasets.tolist(), "class": classes[known].astype(np.int64), "label": labels}
    columns["example"] = np.concatenate([examples for _, examples in read])[known]
    tables = []
    for (path, role), plane in zip(roles.items(), planes, strict=True):
        points = np.concatenate([plane.kept, plane.others])  # the forget set is the last of the names
        state: dict[str, Any] = {"model": path, "method": methods[path], "forget_set": forget, "role": role}
        state |= {"seed": seed if role == RETRAINED else None, "projection": projection}
        state["share"] = plane.share if projection == "pca" else None
        tables.append(filled(judged_latent_schema(), state, {**columns, "x": points[:, 0], "y": points[:, 1]}))
    replace_rows(stage.folder.path, JUDGED_LATENT, {"forget_set": forget}, pa.concat_tables(tables))
