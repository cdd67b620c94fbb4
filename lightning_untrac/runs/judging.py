"""How far models of a judgement are apart, example by example and in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.callbacks.distance_recorder import DistanceRecorder
from lightning_untrac.callbacks.measure_recorder import EVALUATE
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.evaluated import groups as marks_of
from lightning_untrac.data.stratified import classes_of
from lightning_untrac.functional.excess import Distances, judge
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import distances as kinds
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.metrics.of_sets import ExampleStates, SetMeasure
from lightning_untrac.modules.beside import Beside
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judged_measures import OfSets, ReadModel, value_columns, write_judged_measures
from lightning_untrac.runs.kept_arrays import KeptArrays
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables.distances import (
    DISTANCES,
    JUDGEMENTS,
    RETAINED,
    TEST_SETS,
    distances_schema,
    judgements_schema,
)
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED
from lightning_untrac.tables.measurements import filled, read_summary, replace_rows

RETRAIN: Final = "retrain"
"""``method`` of a model that never saw a forget set."""

#: ``<measure>/value`` and ``<measure>/weight`` to dataset to the numbers of its examples.
Arrays = Mapping[str, Mapping[str, Floats]]


def judge_all(
    stage: Stage,
    models: Compared,
    forget: str,
    measures: Sequence[Measure] = (),
    also: Sequence[Measure] = (),
    sets: Sequence[SetMeasure] = (),
    states: Mapping[str, Mapping[str, ExampleStates]] | None = None,
) -> dict[str, Arrays] | None:
    """Measure all distances, and each model in the same passes, and write the tables.

    Args:
        stage: the verb's, started.
        models: of one forget set.
        forget: its name.
        measures: what is measured of each model.
        also: what is measured beside, and stands in none of these tables.
        sets: what is measured of many examples together.
        states: model to dataset to what its head reads, for those of ``sets`` that look at it.

    Returns:
        What was measured of each model, on every rank; None of a trial, which stores nothing.
    """
    found: dict[tuple[str, str], Arrays] = {}
    every, files = [*measures, *also], KeptArrays(stage, models.original)
    measured = {model: files.measured(model, every) for model in models.every}
    for model, reference in models.pairs():
        # Each model is measured in the first pass that reads it.
        mine, theirs = (
            [measure for measure in every if f"{measure.name}/value" not in measured[one]] for one in (model, reference)
        )
        distances = files.read(kinds.DISTANCES, [model, reference], None)
        if distances is None or mine or theirs:
            mine_read, of_reference = _beside(stage, model, reference, mine, theirs, models.original)
            if distances is None:
                files.write(kinds.DISTANCES, [model, reference], None, mine_read)
            files.keep_measured(model, mine, mine_read)
            files.keep_measured(reference, theirs, of_reference)
            measured[model] |= {k: of for k, of in mine_read.items() if k.rpartition("/")[0] not in kinds.DISTANCES}
            measured[reference] |= of_reference
            distances = mine_read
        found[model, reference] = distances
    if stage.fast_dev_run:
        say(f"{stage.parsed.verb}: fast_dev_run tried each part once and stored nothing")
        return None
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return dict(measured)
    import pyarrow as pa

    methods, groups = methods_of(stage, models, forget), groups_of(stage, forget)
    seeds: dict[str, int | None] = {path: seed for seed, path in models.retrained.items()} | {models.original: None}
    tables = []
    for (model, reference), arrays in found.items():
        state = {"model": model, "method": methods[model], "forget_set": forget, "retrained_seed": seeds[reference]}
        for measure in models.measures:
            for dataset, values in arrays[f"{measure}/value"].items():
                weights = arrays[f"{measure}/weight"][dataset]
                kept = np.flatnonzero(weights)
                columns = {"example": kept, "value": values[kept], "weight": weights[kept]}
                more = {"dataset": dataset, "measure": measure, "unit": kinds.UNIT}
                tables.append(filled(distances_schema(), {**state, **more}, columns))
    own = {"forget_set": forget}
    replace_rows(stage.folder.path, DISTANCES, own, pa.concat_tables(tables))
    rows = _judgements(models, forget, found, methods, groups) if models.retrained else []
    replace_rows(stage.folder.path, JUDGEMENTS, own, pa.Table.from_pylist(rows, schema=judgements_schema()))
    roles = {models.original: ORIGINAL, **dict.fromkeys(models.unlearned, UNLEARNED)}
    read = [
        ReadModel(path, methods[path], roles.get(path, RETRAINED), seeds.get(path), measured[path])
        for path in models.every
    ]
    sums = _of_sets(stage, forget, sets, states or {})
    write_judged_measures(stage.folder.path, forget, measures, read, groups, marks_of(stage.data), sums)
    return dict(measured)


def _beside(
    stage: Stage, model: str, reference: str, mine: Sequence[Measure], theirs: Sequence[Measure], original: str
) -> tuple[Arrays, Arrays]:
    """How far a model is from another one, example by example, in one pass of both; and what is measured of each."""
    module, other = (stage.parsed.build_module().of_saved(path) for path in (model, reference))
    module.merges_adapters = other.merges_adapters = True  # gradients are of the weights that the others have
    module.reference_path = other.reference_path = original
    recorder = DistanceRecorder(mine, theirs)
    only_measure(stage, Beside(module, other, mine, theirs), stage.data, recorder)
    return recorder.arrays, recorder.reference_arrays


def _of_sets(
    stage: Stage, forget: str, measures: Sequence[SetMeasure], states: Mapping[str, Mapping[str, ExampleStates]]
) -> OfSets | None:
    """What is measured of many examples together, with the right class of each."""
    if not measures:
        return None
    data = stage.data
    right = right_classes(data) if any(measure.of_classes for measure in measures) else {}
    unseen = [name for name in (*data.test_set_names, *data.tokenized_holdout) if name != forget and name in right]
    return OfSets(measures, right, unseen, states)


def right_classes(data: CorpusDataModule) -> dict[str, Floats]:
    """Dataset to the right class of each example, of those that are evaluated; NaN where there is none."""
    classes = {part.name: classes_of(part).astype(np.float64) for part in data.evaluation_data().parts}
    return {name: np.where(one < 0, np.nan, one) for name, one in classes.items()}


def groups_of(stage: Stage, forget: str) -> dict[str, list[str]]:
    """What numbers are made of: each dataset, and those together that are alike.

    Args:
        stage: the verb's.
        forget: the forget set.
    """
    data = stage.data
    groups = {name: [name] for name in data.evaluation_names}
    groups[RETAINED] = [name for name in data.corpus_names if name != forget]
    groups[TEST_SETS] = [name for name in data.test_set_names if name != forget]
    return {name: names for name, names in groups.items() if names}


def methods_of(stage: Stage, models: Compared, forget: str) -> dict[str, str]:
    """How each model was made, as the tables of measurements say.

    Args:
        stage: the verb's.
        models: of one forget set.
        forget: its name.
    """
    summary = read_summary(stage.folder.path)
    rows = [] if summary is None else summary.select(["model", "method", "forget_set", "step"]).to_pylist()
    said = {Path(row["model"]).name: row["method"] for row in rows if row["forget_set"] == forget and row["step"]}
    methods = {path: said.get(Path(path).name, "unlearn") for path in models.unlearned}
    return {models.original: EVALUATE, **methods, **dict.fromkeys(models.retrained.values(), RETRAIN)}


def _judgements(
    models: Compared,
    forget: str,
    found: Mapping[tuple[str, str], Arrays],
    methods: Mapping[str, str],
    groups: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    rows = []
    for model in (models.original, *models.unlearned):
        role = ORIGINAL if model == models.original else UNLEARNED
        for dataset, names in groups.items():
            for measure in models.measures:
                judged = judge(_distances(found, models, model, measure, names))
                state: dict[str, Any] = {"model": model, "method": methods[model], "forget_set": forget, "role": role}
                state |= {"dataset": dataset, "measure": measure, "retrained": len(models.retrained)}
                for statistic, mean in judged._asdict().items():
                    unit = "" if statistic in ("excess", "nearer") else kinds.UNIT
                    rows.append({**state, "statistic": statistic, **value_columns(mean), "unit": unit})
    return rows


def _distances(
    found: Mapping[tuple[str, str], Arrays], models: Compared, model: str, measure: str, names: Sequence[str]
) -> Distances:
    """The distances of one model on one or several datasets together."""
    retrained = list(models.retrained.values())

    def read(one: str, reference: str, part: str = "value") -> Floats:
        if one == reference:
            first = next(iter(found.values()))
            return np.zeros(sum(len(first[f"{measure}/value"][name]) for name in names))
        return np.concatenate([found[one, reference][f"{measure}/{part}"][name] for name in names])

    return Distances(
        np.stack([read(model, reference) for reference in retrained]),
        read(model, models.original),
        np.stack([read(models.original, reference) for reference in retrained]),
        np.stack([np.stack([read(one, reference) for reference in retrained]) for one in retrained]),
        read(models.original, retrained[0], "weight"),
    )
