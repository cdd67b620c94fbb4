"""How each part of a forget set was forgotten step by step, from the readings of unlearning beside retrained models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.functional.example_means import Mean, exact_mean
from lightning_untrac.functional.forgetting_pace import pace, terciles
from lightning_untrac.functional.generalised_exposure import generalised_exposure
from lightning_untrac.functional.outliers import Levels, sides
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import MEASURES
from lightning_untrac.runs.judged_measures import value_columns
from lightning_untrac.runs.judging import RETRAIN, Arrays
from lightning_untrac.runs.memorised_data import KNOWN, LOSS, Indices, Memorised
from lightning_untrac.tables.measurements import read_measurements, read_summary, replace_rows
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS, memorisation_steps_schema

if TYPE_CHECKING:
    import pandas as pd

SHARES: Final = {"half": 0.5, "tenth": 0.1}
"""Of the mean GenEx at the start: the steps until then are counted."""

LEAST_TO_SPLIT: Final = 9
"""Sequences from which on there are thirds."""

THIRDS: Final = ("low", "middle", "high")

NATS: Final = "nats/token"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Readings:
    """What an unlearning has read of its forget set's sequences, and of what else there is.

    Attributes:
        method: how the model was made.
        steps: ``[S]`` optimizer steps before each reading; 0 is first.
        values: by measure, ``[S, E]``.
        beside: how far losses elsewhere are above the retrained models' mean, by name of the group, ``[S]``.
    """

    method: str
    steps: Floats
    values: Mapping[str, Floats]
    beside: Mapping[str, Floats]


def write_memorisation_steps(
    folder: Path,
    read: Memorised,
    measured: Mapping[str, Arrays],
    groups: Mapping[str, Sequence[str]],
    counted: str,
    levels: Levels | None,
) -> list[str]:
    """Write ``memorisation_steps.parquet`` of a forget set.

    Args:
        folder: of the run.
        read: what was read of the models at the end.
        measured: the same of every dataset, by model.
        groups: statistic to the datasets whose loss it is.
        counted: the measure by which outliers are counted.
        levels: of unseen text; None where they are another for each model.

    Returns:
        What is to be known of it, a sentence each.
    """
    import pyarrow as pa

    forget, rows, notes = read.forget.name, Rows(), []
    parts = list(_parts(read))
    tables = (
        _tables(folder, forget) if read.models.retrained else None
    )  # steps are told from what retrained models know
    for path in read.models.unlearned:
        found = _readings(*tables, read, path, measured, groups) if tables else None
        if isinstance(found, str):
            notes.append(f"{Path(path).name}: {found}")
            continue
        if found is None:
            continue
        state = {"model": path, "method": found.method, "role": "unlearned", "forget_set": forget}
        genex = _genex(read, found.values[LOSS])
        for split, part, chosen in parts:
            mine = {**state, "split": split, "part": part, "sequences": len(chosen)}
            rows += [{**mine, **row} for row in _of_part(found, genex, chosen, counted, levels, split == "all")]
    for path in read.models.retrained.values():
        state = {"model": path, "method": RETRAIN, "role": "retrained", "forget_set": forget, "split": "all"}
        mine = {**state, "part": "all", "sequences": len(read.forget.examples), "step": None}
        rows += [{**mine, **row} for row in _of_retrained(read, path, measured, groups, counted, levels)]
    table = pa.Table.from_pylist(rows, schema=memorisation_steps_schema())
    replace_rows(folder, MEMORISATION_STEPS, {"forget_set": forget}, table)
    return notes


def _parts(read: Memorised) -> Iterator[tuple[str, str, Indices]]:
    """By what a forget set is split, the name of each part, and its sequences."""
    forget, count = read.forget, len(read.forget.examples)
    yield "all", "all", np.arange(count)
    for group in dict.fromkeys(forget.groups or ()):
        yield "group", group, np.flatnonzero([one == group for one in forget.groups or ()])
    if count < LEAST_TO_SPLIT or not read.models.retrained:  # thirds are by what retrained models know
        return
    never = {name: np.mean([forget.values[path][name] for path in read.models.retrained.values()], axis=0)
             for name in (LOSS, KNOWN)}  # fmt: skip
    by = {"memorisation": forget.values[read.models.original][KNOWN] - never[KNOWN], "difficulty": never[LOSS]}
    for split, values in by.items():
        yield from ((split, *one) for one in zip(THIRDS, terciles(values), strict=True))


def _tables(folder: Path, forget: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """What readings say of each sequence of a forget set, and of its runs' datasets; None where nothing was read."""
    examples, summary = read_measurements(folder), read_summary(folder)
    if examples is None or summary is None:
        return None
    frame, sums = examples.to_pandas(), summary.to_pandas()
    frame = frame[(frame["forget_set"] == forget) & (frame["dataset"] == forget) & frame["step"].notna()]
    frame = frame.assign(name=[Path(model).name for model in frame["model"]])
    sums = sums[(sums["forget_set"] == forget) & (sums["measure"] == LOSS)]
    return frame, sums[sums["statistic"].isin(["mean", "weight"])]


def _readings(
    frame: pd.DataFrame,
    sums: pd.DataFrame,
    read: Memorised,
    path: str,
    measured: Mapping[str, Arrays],
    groups: Mapping[str, Sequence[str]],
) -> Readings | str | None:
    """The readings of an unlearned model, what is wrong with them, or None where there are none."""
    forget = read.forget
    mine = frame[(frame["name"] == Path(path).name) & (frame["step"] > 0)]
    if mine.empty:
        return None
    method, seed = mine["method"].iloc[0], mine["seed"].iloc[0]
    frame = frame[(frame["method"] == method) & (frame["seed"] == seed)]
    first = {Path(model).name for model in frame.loc[frame["step"] == 0, "model"]}
    if first - {Path(read.models.original).name}:
        return f"it began from {', '.join(sorted(first))} and not from the original, so that its steps are left out"
    steps = np.sort(frame["step"].unique())
    values = {}
    for measure, rows in frame.groupby("measure"):
        table = rows.pivot_table(index="step", columns="example", values="value", dropna=False)
        if list(table.index) == list(steps) and list(table.columns) == forget.examples.tolist():
            values[str(measure)] = table.to_numpy()
    weights = frame[(frame["measure"] == LOSS) & (frame["step"] == steps[-1])].sort_values("example")["weight"]
    if LOSS not in values or not np.array_equal(weights, forget.tokens):
        return "its readings do not hold the loss of each sequence that is judged, so that its steps are left out"
    sums = sums[(sums["method"] == method) & (sums["seed"] == seed)]
    tables = sums.pivot_table(index=["statistic", "dataset"], columns="step", values="value", dropna=False)
    beside = {}
    for name, datasets in groups.items():
        there = [one for one in datasets if ("mean", one) in tables.index]
        if there and set(steps) <= set(tables.columns):
            means, many = (tables.loc[[(kind, one) for one in there], steps].to_numpy() for kind in ("mean", "weight"))
            beside[name] = (means * many).sum(axis=0) / many.sum(axis=0) - _of_retraining(read, measured, there)
    return Readings(str(method), steps.astype(np.float64), values, beside)


def _loss(arrays: Arrays, names: Sequence[str]) -> float:
    """The loss of several datasets together."""
    values, weights = (np.concatenate([arrays[f"{LOSS}/{part}"][one] for one in names]) for part in ("value", "weight"))
    return exact_mean(values, weights)


def _of_retraining(read: Memorised, measured: Mapping[str, Arrays], names: Sequence[str]) -> float:
    return float(np.mean([_loss(measured[path], names) for path in read.models.retrained.values()]))


def _genex(read: Memorised, losses: Floats) -> Floats:
    """``[S, E]`` GenEx per token of each reading."""
    never = np.stack([-read.forget.values[path][LOSS] for path in read.models.retrained.values()])
    return np.stack([generalised_exposure(-one[None], never) for one in losses])


def _of_part(
    found: Readings, genex: Floats, chosen: Indices, counted: str, levels: Levels | None, whole: bool
) -> Iterator[dict[str, Any]]:
    """Rows of one part: of each reading, and of all together."""
    of_steps: dict[str, tuple[Floats, str]] = {
        "genex": (genex[:, chosen].mean(axis=1), NATS),
        "genex_size": (np.abs(genex[:, chosen]).mean(axis=1), NATS),
    }
    if (known := found.values.get(counted)) is not None:
        of_steps["known"] = (known[:, chosen].mean(axis=1), MEASURES[counted].unit)
        if levels is not None:
            outside = sides(known[:, chosen], Levels(*(end[chosen] for end in levels)))
            of_steps["outside"] = ((outside != 0).mean(axis=1), "")
    if whole:
        of_steps |= {name: (course, NATS) for name, course in found.beside.items()}
    for name, (values, unit) in of_steps.items():
        for step, value in zip(found.steps.tolist(), values.tolist(), strict=True):
            yield _row(name, Mean(value, np.nan, np.nan), unit, int(step))
    rises = [course - course[0] for course in found.beside.values()]
    for name, share in SHARES.items():
        said = pace(found.steps, genex[:, chosen], rises, share)
        if name == next(iter(SHARES)):
            yield _row("genex_at_start", said.start, NATS)
        yield _row(f"steps_to_{name}", said.steps, "steps")
        for beside, cost in zip(found.beside, said.costs, strict=True):
            yield _row(f"{beside}_rise_at_{name}", cost, NATS)


def _of_retrained(
    read: Memorised,
    path: str,
    measured: Mapping[str, Arrays],
    groups: Mapping[str, Sequence[str]],
    counted: str,
    levels: Levels | None,
) -> Iterator[dict[str, Any]]:
    """Rows of a retrained model: how far it is from the others, and where it stands by what readings say."""
    values = read.forget.values
    others = [one for one in read.models.retrained.values() if one != path]
    if others:
        never = np.stack([-values[one][LOSS] for one in others])
        genex = generalised_exposure(-values[path][LOSS][None], never)
        yield _row("genex", Mean(float(genex.mean()), np.nan, np.nan), NATS)
        yield _row("genex_size", Mean(float(np.abs(genex).mean()), np.nan, np.nan), NATS)
    yield _row("known", Mean(float(values[path][counted].mean()), np.nan, np.nan), MEASURES[counted].unit)
    if levels is not None:
        outside = float((sides(values[path][counted], levels) != 0).mean())
        yield _row("outside", Mean(outside, np.nan, np.nan), "")
    for name, datasets in groups.items():
        beyond = _loss(measured[path], datasets) - _of_retraining(read, measured, datasets)
        yield _row(name, Mean(beyond, np.nan, np.nan), NATS)


def _row(statistic: str, mean: Mean, unit: str, step: int | None = None) -> dict[str, Any]:
    return {"step": step, "statistic": statistic, **value_columns(mean), "unit": unit}
