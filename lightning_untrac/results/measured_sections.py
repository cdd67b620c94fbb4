"""The parts of a report that show measurements: what was forgotten, what it cost, and which examples are left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import numpy as np

from lightning_untrac.naming import counted
from lightning_untrac.results.measured import ExampleChanges, Measured, Reading, UnlearningRun, main_measure, survivors
from lightning_untrac.results.measured_answers import change_of
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.page import escape, picture_html, table_html
from lightning_untrac.results.sentence import NAMED_AT_MOST
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import format_number, shorten_all, unit_title

SURVIVORS: Final = 10
"""Examples of a forget set that are listed."""

_DASH: Final = "\u2013"
_OPEN_RUNS: Final = 4
"""Runs of a folder that are shown without a click."""

#: A run and its pictures, by kind.
Drawn = Mapping[str, Mapping[str, Path]]


def run_title(run: UnlearningRun) -> str:
    """A run in a heading."""
    seed = "" if run.seed is None else f", seed {run.seed}"
    return f"{method_title(run.method)} on {run.forget_set or 'a mixture'}{seed}"


def _each(measured: Measured, part: Callable[[UnlearningRun], str]) -> str:
    """A part for each run under its title; of many runs the later ones open with a click."""
    parts = [(run, markup) for run in measured.runs if (markup := part(run))]
    if len(measured.runs) == 1:
        return "".join(markup for _, markup in parts)
    found = [f"<h3>{escape(run_title(run))}</h3>{markup}" for run, markup in parts[:_OPEN_RUNS]]
    found += [
        f"<details><summary>{escape(run_title(run))}</summary>{markup}</details>" for run, markup in parts[_OPEN_RUNS:]
    ]
    return "".join(found)


def changes_section(measured: Measured) -> str:
    """Every dataset before and after, with intervals; the forget set first and in bold.

    Args:
        measured: all of a folder.
    """
    weights = dict.fromkeys(unit for run in measured.runs for unit in run.weights)
    packed = list(dict.fromkeys(name for run in measured.runs for name in run.datasets if name in run.blocks))
    each = "each example (or block) with itself" if packed else "each example with itself"
    said = (
        f'<p class="muted small">Means over the {escape(" or ".join(weights) or "examples")} of each dataset, with '
        f"half of their 95 % intervals. The interval of a change pairs {each}. {_packed(packed)}Bold: the forget "
        "set.</p>"
    )
    tables = _each(measured, lambda run: _changes_table(run, measured.roles))
    return said + tables if tables else ""


def beside_section(measured: Measured) -> str:
    """Runs that forgot the same set beside each other; nothing where there is one run of each.

    Args:
        measured: all of a folder.
    """
    parts = []
    for forget_set in dict.fromkeys(run.forget_set for run in measured.runs):
        runs = [run for run in measured.runs if run.forget_set == forget_set]
        if len(runs) > 1:
            parts.append(f"<h3>{escape(forget_set or 'a mixture')}</h3>{_beside_table(runs)}")
    return "".join(parts)


def _beside_table(runs: Sequence[UnlearningRun]) -> str:
    cells = dict.fromkeys(
        (measure, name) for run in runs for measure in run.measures for name in run.datasets
        if (measure, name) in run.curves
    )  # fmt: skip
    rows = [
        (measure_text(measure).title, name, _first_reading(runs, (measure, name)), *_last_values(runs, (measure, name)))
        for measure, name in cells
    ]
    several_seeds = len({run.seed for run in runs}) > 1
    titles = [method_title(run.method) + (f", seed {run.seed}" if several_seeds else "") for run in runs]
    steps = ("", "", "", *(counted(run.last_step, "step") for run in runs))
    return table_html(("measure", "dataset", "before", *titles), [steps, *rows], range(2, 3 + len(runs)))


def _first_reading(runs: Sequence[UnlearningRun], cell: tuple[str, str]) -> str:
    found = dict.fromkeys(_number(run.curves[cell][0]) for run in runs if cell in run.curves)
    return " or ".join(found)  # several where they began from different models


def _last_values(runs: Sequence[UnlearningRun], cell: tuple[str, str]) -> list[str]:
    return [_number(run.curves[cell][-1]) if cell in run.curves else _DASH for run in runs]


def _packed(names: Sequence[str]) -> str:
    """Which datasets are measured in blocks, whose number is not that of their examples."""
    if not names:
        return ""
    shown = f"{len(names)} datasets" if len(names) > NAMED_AT_MOST else escape(", ".join(names))
    return f"Packed, so that a block and not an example was measured: {shown}. "


def _changes_table(run: UnlearningRun, roles: Mapping[str, str]) -> str:
    rows = []
    for measure in run.measures:
        text = measure_text(measure)
        datasets = [name for name in run.datasets if (measure, name) in run.curves]
        for place, name in enumerate(datasets):
            readings = run.curves[measure, name]
            role = "forget set" if name == run.forget_set else roles.get(name, "")
            title = f'{escape(text.title)}<br><span class="muted small">{escape(unit_title(text.unit))}</span>'
            group = f'<td class="group" rowspan="{len(datasets)}">{title}</td>' if place == 0 else ""
            numbers = [
                _number(readings[0]),
                _number(readings[-1]) if len(readings) > 1 else _DASH,
                *_change(run, measure, name),
            ]
            cells = "".join(f'<td class="n">{escape(number)}</td>' for number in numbers)
            style = ' class="total"' if name == run.forget_set else ""
            rows.append(f"<tr{style}>{group}<td>{escape(name)}</td><td>{escape(role)}</td>{cells}</tr>")
    head = '<th>measure</th><th>dataset</th><th>role</th><th class="n">before</th><th class="n">after</th>'
    head += '<th class="n">change</th><th class="n">\u00b1</th>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _number(reading: Reading) -> str:
    flag = "" if reading.status == "ok" else f" {FLAG_TITLES.get(reading.status, reading.status)}"
    return f"{reading}{flag}"


def _change(run: UnlearningRun, measure: str, dataset: str) -> tuple[str, str]:
    readings, changes = run.curves[measure, dataset], run.changes.get((measure, dataset))
    if len(readings) < 2:
        return _DASH, _DASH
    scale = readings[0].value
    change = format_number(change_of(run, measure, dataset), scale)
    if changes is None:
        return change, _DASH
    mean = changes.mean_change()
    half = (mean.high - mean.low) / 2
    return change, format_number(half, scale, signed=False) if math.isfinite(half) else _DASH


def steps_section(measured: Measured, drawn: Drawn) -> str:
    """The trajectories.

    Args:
        measured: all of a folder.
        drawn: pictures by the key of a run, then by kind.
    """

    def picture(run: UnlearningRun) -> str:
        path = drawn.get(run.key, {}).get("steps")
        return picture_html(path, f"Measures over the steps, {run_title(run)}") if path else ""

    return _each(measured, picture)


def spread_section(measured: Measured, drawn: Drawn) -> str:
    """How examples are spread before and after.

    Args:
        measured: all of a folder.
        drawn: pictures by the key of a run, then by kind.
    """

    def pictures(run: UnlearningRun) -> str:
        found = drawn.get(run.key, {})
        paths = [(measure, found[f"examples/{measure}"]) for measure in run.measures if f"examples/{measure}" in found]
        return "".join(
            picture_html(path, f"{measure_text(measure).title} of each example before and after, {run_title(run)}")
            for measure, path in paths
        )

    return _each(measured, pictures)


def survivors_section(measured: Measured) -> str:
    """The examples of each forget set that changed least, with the beginnings of their texts where they are quoted.

    Args:
        measured: all of a folder.
    """
    tables = _each(measured, lambda run: _survivors_table(run, measured.texts))
    parts = " or ".join(dict.fromkeys(run.parts_of(run.forget_set) for run in measured.runs)) or "examples"
    said = (
        f'<p class="muted small">The {parts} of the forget set that changed least, the least changed first. A mean '
        "hides them.</p>"
    )
    return said + tables if tables else ""


def _survivors_table(run: UnlearningRun, texts: Mapping[str, Mapping[int, str]]) -> str:
    if run.forget_set is None:
        return ""
    measure = main_measure(run)
    changes, sign = run.changes.get((measure, run.forget_set)), measure_text(measure).forgetting
    if changes is None or not sign:
        return ""
    chosen = survivors(changes, sign, SURVIVORS)
    quoted = texts.get(run.forget_set, {})
    shown = [name for name in run.measures if (name, run.forget_set) in run.changes]
    head = [run.parts_of(run.forget_set).removesuffix("s"), *(measure_text(name).title.lower() for name in shown)]
    rows = []
    for place in chosen:
        example = int(changes.examples[place])
        values = [_pair(run.changes[name, run.forget_set], example) for name in shown]
        rows.append((example, *values, quoted.get(example, "")))
    numbers = range(len(head))
    if not any(row[-1] for row in rows):
        return table_html(head, [row[:-1] for row in rows], numbers)
    return table_html([*head, "begins with"], rows, numbers)


def _pair(changes: ExampleChanges, example: int) -> str:
    """An example's values before and after."""
    at = np.flatnonzero(changes.examples == example)
    if not len(at):
        return _DASH
    return " \u2192 ".join(format_number(float(side[at[0]]), signed=False) for side in (changes.before, changes.after))


def models_section(measured: Measured) -> str:
    """Models that were measured as they are, beside each other.

    Args:
        measured: all of a folder.
    """
    if not measured.models:
        return ""
    cells = dict.fromkeys(cell for found in measured.models.values() for cell in found)
    models = list(measured.models)
    rows = [
        (
            measure_text(measure).title,
            dataset,
            *(
                _number(found[measure, dataset]) if (measure, dataset) in found else _DASH
                for found in measured.models.values()
            ),
        )
        for measure, dataset in cells
    ]
    paths = [Path(model).parts for model in models]
    folders = zip(*(parts[:-1] for parts in paths), strict=False)
    shared = len(list(takewhile(lambda level: len(set(level)) == 1, folders)))
    names = shorten_all(["/".join(parts[shared:]) for parts in paths], 40).values()
    return table_html(("measure", "dataset", *names), rows, range(2, 2 + len(models)))


def measures_section(measured: Measured) -> str:
    """What each measure is, which way it goes, and what it can't tell.

    Args:
        measured: all of a folder.
    """
    names = dict.fromkeys(measure for run in measured.runs for measure in run.measures)
    names |= dict.fromkeys(measure for found in measured.models.values() for measure, _ in found)
    known = {"lower": "lower: the model knows the text better", "higher": "higher: the model knows the text better"}
    rows = []
    for name in names:
        text = measure_text(name)
        rows.append(
            (
                text.title,
                unit_title(text.unit),
                known.get(text.direction, "neither way"),
                text.ideal,
                text.cannot_tell,
                text.source,
            )
        )
    head = ("measure", "unit", "direction", "ideal", "does not tell", "source")
    return table_html(head, rows) if rows else ""
