"""What the tables of measurements hold, read and computed once for everything that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.measures import measure_text, read_measure_texts
from lightning_untrac.results.style import format_number
from lightning_untrac.tables.measurements import read_measurements, read_summary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from lightning_untrac.functional.example_means import Mean

Floats = npt.NDArray[np.float64]

#: A measure and a dataset.
Cell = tuple[str, str]


class ExampleChanges(NamedTuple):
    """Examples of a dataset before and after.

    Attributes:
        examples: ``[examples]`` their indices.
        before: ``[examples]`` values before.
        after: ``[examples]`` values after.
        weights: ``[examples]`` how much each counts.
    """

    examples: npt.NDArray[np.int64]
    before: Floats
    after: Floats
    weights: Floats

    def mean_change(self) -> Mean:
        """The weighted mean of the changes, with an interval in which examples are paired with themselves."""
        from lightning_untrac.functional.example_means import weighted_mean

        return weighted_mean(self.after, self.weights, self.before)


class Reading(NamedTuple):
    """A mean at a step.

    Attributes:
        step: optimizer steps since the model before.
        value: the mean.
        low: lower end of its interval; NaN where there is none.
        high: upper end.
        status: ``ok`` or what is wrong with it.
    """

    step: int
    value: float
    low: float
    high: float
    status: str

    def __str__(self) -> str:
        """The mean and half of its interval's width, without its status."""
        half = (self.high - self.low) / 2
        spread = f" \u00b1 {format_number(half, self.value, signed=False)}" if math.isfinite(half) else ""
        return format_number(self.value, signed=False) + spread


@dataclass(frozen=True)
class UnlearningRun:
    """One way from a model to another one: all rows with the same method, forget set and seed.

    Attributes:
        method: what made the model, as in the tables.
        forget_set: what was to go; None where nothing was named.
        seed: of the data order; None where there is none.
        model: the model after.
        curves: readings by measure and dataset, by step.
        changes: examples before and after, by measure and dataset; none of a run that is not finished.
        blocks: names of the datasets that were measured in blocks, and not example by example.
        weights: what means are taken over, such as ``target tokens``.
    """

    method: str
    forget_set: str | None
    seed: int | None
    model: str
    curves: Mapping[Cell, Sequence[Reading]]
    changes: Mapping[Cell, ExampleChanges]
    blocks: frozenset[str] = frozenset()
    weights: Sequence[str] = ()

    def parts_of(self, dataset: str | None) -> str:
        """What a dataset was measured in: ``examples``, or ``blocks`` where it was packed."""
        return "blocks" if dataset in self.blocks else "examples"

    @property
    def measures(self) -> list[str]:
        """Names of the measures, in their order."""
        return list(dict.fromkeys(measure for measure, _ in self.curves))

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets: the forget set first, then in their order."""
        names = dict.fromkeys(dataset for _, dataset in self.curves)
        return sorted(names, key=lambda name: name != self.forget_set)

    @property
    def last_step(self) -> int:
        """The step of the last reading."""
        return max(readings[-1].step for readings in self.curves.values())

    @property
    def status(self) -> str:
        """That of the forget set's last readings, or of any other dataset's, if all of them are alike."""
        forgotten = [readings[-1].status for (_, name), readings in self.curves.items() if name == self.forget_set]
        found = forgotten or [readings[-1].status for readings in self.curves.values()]
        return next((status for status in found if status != "ok"), "ok")

    @property
    def key(self) -> str:
        """What tells it from other runs of a folder, for names of files."""
        return "_".join(str(part) for part in (self.method, self.forget_set, self.seed) if part is not None)


@dataclass(frozen=True)
class Measured:
    """All measurements of a run folder.

    Attributes:
        runs: what was unlearned.
        models: means of models that were measured as they are, by model and by measure and dataset.
        roles: dataset to what it is (``corpus``, ``test set``), of those that ``run.json`` names.
        texts: beginnings of some texts, by dataset and example.
    """

    runs: Sequence[UnlearningRun]
    models: Mapping[str, Mapping[Cell, Reading]]
    roles: Mapping[str, str]
    texts: Mapping[str, Mapping[int, str]]


def main_measure(run: UnlearningRun) -> str:
    """The measure that answers are read from: the first that says which way forgetting goes.

    Args:
        run: what was unlearned.
    """
    return next((measure for measure in run.measures if measure_text(measure).forgetting), run.measures[0])


def by_change(run: UnlearningRun, at_most: int) -> list[str]:
    """Datasets of a run, the forget set first; where there are more than a picture shows, those that moved most.

    Args:
        run: what was unlearned.
        at_most: how many the picture shows.
    """
    names = run.datasets
    if len(names) <= at_most:
        return names
    ends = {name: run.curves.get((main_measure(run), name)) for name in names}
    moved = {name: abs(readings[-1].value - readings[0].value) if readings else 0.0 for name, readings in ends.items()}
    return sorted(names, key=lambda name: (name != run.forget_set, -moved[name] if moved[name] == moved[name] else 0.0))


def survivors(changes: ExampleChanges, forgetting: int, count: int) -> npt.NDArray[np.int64]:
    """Which examples changed least in the direction of forgetting; of equal ones the earlier.

    Args:
        changes: of the forget set.
        forgetting: 1 where values rise with forgetting, -1 where they fall.
        count: how many at most.

    Returns:
        Places in the arrays, those that survived best first.
    """
    gone = (changes.after - changes.before) * forgetting
    order = np.argsort(np.where(np.isfinite(gone), gone, np.inf), kind="stable")
    return order[:count]


def find_measured(folder: Path, run: Mapping[str, Any]) -> Measured | None:
    """Read the tables of measurements.

    Args:
        folder: of the run.
        run: content of ``run.json``.

    Returns:
        What they hold; None where there are none.

    Raises:
        ResultsError: if one is damaged.
    """
    summary, examples = read_summary(folder), read_measurements(folder)
    if summary is None or not summary.num_rows:
        return None
    read_measure_texts(run.get("measures"))
    entries = [entry for entry in run.get("data") or [] if isinstance(entry, Mapping)]
    order = [str(entry.get("name")) for entry in entries]
    means = _sorted(summary, order, list(run.get("measures") or {}))
    made = means[means["step"].notna()]
    means = means[means["statistic"] == "mean"]
    runs = [
        _run(key, rows, None if examples is None else _of_run(examples, key))
        for key, rows in made.groupby(["method", "forget_set", "seed"], dropna=False, sort=False)
    ]
    plain = means[means["step"].isna()]
    models = {str(model): _last_readings(rows) for model, rows in plain.groupby("model", sort=False)}
    roles = {str(entry.get("name")): str(entry.get("role")) for entry in entries}
    return Measured(runs, models, roles, _texts(run.get("example_texts")))


def _sorted(summary: pa.Table, datasets: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of the configuration: measures, datasets, steps."""
    frame = summary.to_pandas()
    for column, names in (("dataset", datasets), ("measure", measures)):
        places = {name: place for place, name in enumerate(names)}
        frame[f"{column}_place"] = [places.get(name, len(places)) for name in frame[column]]
    keys = ["method", "forget_set", "seed", "measure_place", "measure", "dataset_place", "dataset", "step"]
    return frame.sort_values(keys, kind="stable", na_position="first")


def _run(key: Any, every: pd.DataFrame, examples: pd.DataFrame | None) -> UnlearningRun:
    method, forget_set, seed = key
    rows, counts, weights = (every[every["statistic"] == name] for name in ("mean", "count", "weight"))
    curves = {cell: _readings(group) for cell, group in _by_cell(rows)}
    changes = {}
    for cell, group in _by_cell(examples) if examples is not None else ():
        first, last = group["step"].min(), group["step"].max()
        before, after = (group[group["step"] == step].set_index("example") for step in (first, last))
        both = before.index.intersection(after.index)
        if first < last and len(both):
            values = (before.loc[both, "value"], after.loc[both, "value"], after.loc[both, "weight"])
            changes[cell] = ExampleChanges(both.to_numpy(), *(column.to_numpy() for column in values))
    return UnlearningRun(
        str(method),
        forget_set if isinstance(forget_set, str) else None,
        None if seed is None or seed != seed else int(seed),
        str(rows.sort_values("step", kind="stable")["model"].iloc[-1]),
        curves,
        changes,
        frozenset(counts.loc[counts["unit"] == "blocks", "dataset"]),
        list(dict.fromkeys(weights["unit"])),
    )


def _by_cell(rows: pd.DataFrame) -> Any:
    return rows.groupby(["measure", "dataset"], sort=False)


def _readings(rows: pd.DataFrame) -> list[Reading]:
    columns = (rows[name] for name in ("step", "value", "ci_low", "ci_high", "status"))
    return [
        Reading(int(step), value, low, high, status) for step, value, low, high, status in zip(*columns, strict=True)
    ]


def _last_readings(rows: pd.DataFrame) -> dict[Cell, Reading]:
    return {cell: _readings(group.assign(step=0))[-1] for cell, group in _by_cell(rows)}


def _of_run(examples: pa.Table, key: Any) -> pd.DataFrame:
    import pyarrow.compute as pc

    mine: Any = pc.is_valid(examples["step"])
    for column, value in zip(("method", "forget_set", "seed"), key, strict=True):
        missing = value is None or value != value
        same = pc.is_null(examples[column]) if missing else pc.fill_null(pc.equal(examples[column], value), False)
        mine = pc.and_(mine, same)
    columns = ["step", "measure", "dataset", "example", "value", "weight"]
    return examples.filter(mine).select(columns).to_pandas()


def _texts(entries: object) -> dict[str, dict[int, str]]:
    """What ``run.json`` quotes of single examples; whatever has another form is passed over."""
    found: dict[str, dict[int, str]] = {}
    for dataset, texts in entries.items() if isinstance(entries, Mapping) else ():
        for index, text in texts.items() if isinstance(texts, Mapping) else ():
            if str(index).isdecimal() and isinstance(text, str):
                found.setdefault(str(dataset), {})[int(index)] = text
    return found
