"""What was measured of all models of a judgement: every example, and means beside the retrained models'."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import Mean, weighted_mean
from lightning_untrac.functional.recovery import recovery
from lightning_untrac.functional.resampled import Resampled, mean_of_models, resampled_means
from lightning_untrac.functional.same_distribution import ks_p_value
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.metrics.of_sets import ExampleStates, ReadSet, SetMeasure
from lightning_untrac.metrics.summary import group_maxima
from lightning_untrac.tables.distances import RETAINED
from lightning_untrac.tables.judged import (
    JUDGED_EXAMPLES,
    JUDGED_MEASURES,
    ORIGINAL,
    RETRAINED,
    UNLEARNED,
    judged_examples_schema,
    judged_measures_schema,
)
from lightning_untrac.tables.measurements import filled, replace_rows


class ReadModel(NamedTuple):
    """A model of a judgement.

    Attributes:
        path: its folder.
        method: how it was made.
        role: ``original``, ``unlearned`` or ``retrained``.
        seed: of a retrained model.
        arrays: ``<measure>/value`` and ``<measure>/weight`` to dataset to ``[examples]``.
    """

    path: str
    method: str
    role: str
    seed: int | None
    arrays: Mapping[str, Mapping[str, Floats]]


def write_judged_measures(
    folder: Path,
    forget: str,
    measures: Sequence[Measure],
    models: Sequence[ReadModel],
    groups: Mapping[str, Sequence[str]],
    marks: Mapping[str, Sequence[str] | None] | None = None,
    of_sets: OfSets | None = None,
) -> None:
    """Write both tables of a forget set.

    Args:
        folder: of the run.
        forget: the forget set.
        measures: what was measured.
        models: one original, and any number of unlearned and retrained ones.
        groups: dataset, or name of several, to the names of the datasets.
        marks: the group of each example by dataset, of those that name any.
        of_sets: what is measured of many examples together.
    """
    import pyarrow as pa

    if not measures:
        return
    tables = [table for model in models for table in _example_tables(model, forget, measures, marks or {})]
    replace_rows(folder, JUDGED_EXAMPLES, {"forget_set": forget}, pa.concat_tables(tables))
    rows = [
        {**row, "forget_set": forget, "dataset": dataset, "measure": measure.name}
        for measure in measures
        for dataset, names in groups.items()
        for row in (
            *_rows(measure, models, _means(measure, models, names), forget in names),
            *_worst(measure, models, names, marks or {}),
            *_distributions(measure, models, names),
        )
    ]
    for measure, dataset, means in [] if of_sets is None else of_sets.means(forget, models, groups):
        found = _rows(measure, models, means, forget in groups[dataset])
        rows += [{**row, "forget_set": forget, "dataset": dataset, "measure": measure.name} for row in found]
    table = pa.Table.from_pylist(rows, schema=judged_measures_schema())
    replace_rows(folder, JUDGED_MEASURES, {"forget_set": forget}, table)


def _example_tables(
    model: ReadModel, forget: str, measures: Sequence[Measure], marks: Mapping[str, Sequence[str] | None]
) -> Iterator[Any]:
    state = {**_state(model), "forget_set": forget}
    for measure in measures:
        for dataset, values in model.arrays[f"{measure.name}/value"].items():
            weights = model.arrays[f"{measure.name}/weight"][dataset]
            kept = np.flatnonzero(weights)
            columns: dict[str, Any] = {"example": kept, "value": values[kept], "weight": weights[kept]}
            if (of := marks.get(dataset)) is not None:
                columns["group"] = [of[index] for index in kept.tolist()]
            more = {"dataset": dataset, "measure": measure.name, "unit": measure.unit}
            yield filled(judged_examples_schema(), {**state, **more}, columns)


def _state(model: ReadModel) -> dict[str, Any]:
    return {"model": model.path, "method": model.method, "role": model.role, "seed": model.seed}


class OfSets(NamedTuple):
    """What is measured of many examples together.

    Attributes:
        measures: which.
        classes: dataset to the right class of each example, ``[examples]``; NaN where there is none.
        unseen: names of datasets that were never trained on.
        states: path of a model to dataset to what its head reads; empty where that was not read.
    """

    measures: Sequence[SetMeasure]
    classes: Mapping[str, Floats]
    unseen: Sequence[str]
    states: Mapping[str, Mapping[str, ExampleStates]]

    def means(
        self, forget: str, models: Sequence[ReadModel], groups: Mapping[str, Sequence[str]]
    ) -> Iterator[tuple[SetMeasure, str, list[Resampled]]]:
        """Each measure, dataset (or group) and what it says of the models, where it says something."""
        retrained = [place for place, model in enumerate(models) if model.role == RETRAINED]
        arrays = [model.arrays for model in models]
        states = [self.states[model.path] for model in models] if self.states else []
        weights = models[0].arrays[f"{self.measures[0].reads[0]}/weight"]  # 0 where an example was not read
        classes = {name: np.where(weights[name] > 0, right, math.nan) for name, right in self.classes.items()}
        for dataset, names in groups.items():
            kept = groups.get(RETAINED, [])
            read = ReadSet(arrays, retrained, names, forget, self.unseen, classes, states, kept)
            for measure in self.measures:
                if (found := measure(read)) is not None:
                    yield measure, dataset, found


def _means(measure: Measure, models: Sequence[ReadModel], names: Sequence[str]) -> list[Resampled]:
    values, weights = (
        [np.stack([model.arrays[f"{measure.name}/{part}"][name] for model in models]) for name in names]
        for part in ("value", "weight")
    )
    return resampled_means(values, weights)


def _rows(
    measure: Measure | SetMeasure, models: Sequence[ReadModel], means: Sequence[Resampled], forgotten: bool
) -> Iterator[dict[str, Any]]:
    """Each model's mean and its difference to the retrained models', and what came back of what they know better."""
    truth = [(model, mean) for model, mean in zip(models, means, strict=True) if model.role == RETRAINED]
    retrained = mean_of_models([mean for _, mean in truth]) if truth else None
    original = next(mean for model, mean in zip(models, means, strict=True) if model.role == ORIGINAL)
    shared = {"retrained": len(truth)}

    def row(state: dict[str, Any], statistic: str, mean: Mean, unit: str = measure.unit) -> dict[str, Any]:
        return {**shared, **state, "statistic": statistic, **value_columns(mean), "unit": unit}

    for model, mean in zip(models, means, strict=True):
        yield row(_state(model), "mean", _bounded(mean, measure))
        if model.role != RETRAINED and retrained is not None:
            yield row(_state(model), "difference", mean.minus(retrained).mean)
    if retrained is None:
        return
    first, _ = truth[0]
    every = {**_state(first), "model": together([model.path for model, _ in truth]), "seed": None}
    yield row(every, "mean", _bounded(retrained, measure))
    if measure.direction == "none" or forgotten:
        return
    for place, (model, mean) in enumerate((m, x) for m, x in zip(models, means, strict=True) if m.role == UNLEARNED):
        found = recovery(mean, original, retrained, measure.direction == "higher")
        if not place:
            yield row(every, "gain", found.gain)
        yield row(_state(model), "recovered", found.share, "")


def together(retrained: Sequence[str]) -> str:
    """What all retrained models together are called: their folder, where ``untrac retrain`` has made them.

    >>> together(["runs/a/retrained-forum/seed-0", "runs/a/retrained-forum/seed-1"]), together(["b", "c"])
    ('runs/a/retrained-forum', '(retrained)')
    """
    folders = {Path(path).parent for path in retrained}
    folder = folders.pop()
    return str(folder) if not folders and folder.name.startswith("retrained-") else "(retrained)"


def _worst(
    measure: Measure, models: Sequence[ReadModel], names: Sequence[str], marks: Mapping[str, Sequence[str] | None]
) -> Iterator[dict[str, Any]]:
    """Each model's mean of each group's largest value, of measures that look at groups and datasets that name them."""
    of = {name: marks.get(name) for name in names}
    if measure.worst is None or None in of.values():
        return
    groups = [f"{name} {group}" for name, found in of.items() for group in found or ()]
    retrained = sum(model.role == RETRAINED for model in models)
    for model in models:
        values, weights = (
            np.concatenate([model.arrays[f"{measure.name}/{part}"][name] for name in names])
            for part in ("value", "weight")
        )
        largest = group_maxima(values, weights, groups)
        mean = weighted_mean(largest, np.ones_like(largest), bounds=measure.bounds)
        state = {**_state(model), "retrained": retrained, "statistic": "worst_in_group"}
        yield {**state, **value_columns(mean), "unit": measure.unit}


def _distributions(measure: Measure, models: Sequence[ReadModel], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """How likely each model's values and those of each other retrained one are draws of one distribution."""
    if not measure.tests_distribution:
        return
    counted = {}
    for model in models:
        values, weights = (
            np.concatenate([model.arrays[f"{measure.name}/{part}"][name] for name in names])
            for part in ("value", "weight")
        )
        counted[model.path] = values[weights > 0]
    truth = [model for model in models if model.role == RETRAINED]
    between: dict[tuple[str, str], float] = {}
    shared = {"retrained": len(truth), "statistic": "ks_p_value", "unit": "p-value", "ci_low": None, "ci_high": None}
    for model in models:
        others = [one for one in truth if one.path != model.path]
        found = [ks_p_value(counted[model.path], counted[one.path]) for one in others]
        if not found or math.isnan(sum(found)):
            continue
        if model.role == RETRAINED:
            pairs = (tuple(sorted((model.path, one.path))) for one in others)
            between |= dict(zip(pairs, found, strict=True))  # type: ignore[arg-type]
        else:
            yield from (
                {**shared, **_state(model), "seed": one.seed, "value": value}
                for one, value in zip(others, found, strict=True)
            )
        yield {**shared, **_state(model), "value": float(np.median(found))}
    if between:
        every = {"model": together([model.path for model in truth]), "seed": None}
        yield {**shared, **_state(truth[0]), **every, "value": float(np.median(list(between.values())))}


def _bounded(mean: Resampled, measure: Measure | SetMeasure) -> Mean:
    """Resamples of a mean stay within the bounds of its values, but for rounding."""
    value, low, high = mean.mean
    least, largest = measure.bounds
    return Mean(value, max(low, least), min(high, largest)) if math.isfinite(low) else mean.mean


def value_columns(mean: Mean) -> dict[str, float | None]:
    """A number and its interval as tables have them; ends that are NaN are none."""
    low, high = (None if math.isnan(end) else end for end in (mean.low, mean.high))
    return {"value": mean.value, "ci_low": low, "ci_high": high}
