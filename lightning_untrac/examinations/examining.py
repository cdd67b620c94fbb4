"""Examine all models of a judgement, one after the other, and write what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.examinations.kept import kept_path, read_kept, write_kept
from lightning_untrac.functional.example_means import Mean
from lightning_untrac.results.measures import measure_texts
from lightning_untrac.runs.judged_measures import value_columns
from lightning_untrac.runs.judging import methods_of
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.examinations import (
    EXAMINATION_SUMMARY,
    EXAMINATIONS,
    examination_summary_schema,
    examinations_schema,
)
from lightning_untrac.tables.measurements import filled, replace_rows

NO_RETRAINED = "{title} is left out: it holds models against one that was retrained without {forget}, and there is none"


def examination_problems(bench: Bench, examinations: Sequence[Examination]) -> list[str]:
    """What is wrong with examinations, before any model is loaded.

    Args:
        bench: with prepared data.
        examinations: that are asked for.
    """
    found = [f"{one.name}: {problem}" for one in examinations for problem in one.problems(bench)]
    alike = [one.name for one in examinations if one.needs_weights_alike]
    if alike:
        found += [f"{', '.join(alike)}: {problem}" for problem in architecture_differences(bench)]
    return found


def architecture_differences(bench: Bench) -> list[str]:
    """Which models can't be laid over the original, weight by weight; no weights are loaded to tell.

    Args:
        bench: knows the models.
    """
    first, *others = bench.models.every
    theirs = _shapes(bench, first)
    found = []
    for path in others:
        mine = _shapes(bench, path)
        unlike = next((name for name in {**theirs, **mine} if mine.get(name) != theirs.get(name)), None)
        if unlike is not None:
            found.append(
                f"{path} {_has(mine, unlike)}, and {first} {_has(theirs, unlike)}; give models of one architecture, or "
                "leave it out"
            )
    return found


def _shapes(bench: Bench, path: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in bench.without_weights(path).named_parameters()}


def _has(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return f"has {name} of shape {shapes[name]}" if name in shapes else f"has no {name}"


def examine_all(bench: Bench, examinations: Sequence[Examination]) -> None:
    """Examine every model, keep what is found, and write both tables; call it on every rank.

    Args:
        bench: the models, measured as they are.
        examinations: that were asked for, without problems.
    """
    stage = bench.stage
    stage.folder.add_to_run(measures=measure_texts([one.measure for one in examinations]))
    if not stage.fast_dev_run and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        _clear(bench)
    for one in examinations:
        if one.needs_retrained and not bench.retrained:
            stage.tell("info", NO_RETRAINED.format(title=one.title, forget=bench.forget))
            continue
        found: dict[str, Sequence[Column]] = {}
        for path in bench.with_roles(one.roles):
            found[path] = _examined(bench, one, path)
        concluded = one.conclude(bench, found)
        if not stage.fast_dev_run and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            _write(bench, one, found, concluded)


def _clear(bench: Bench) -> None:
    """Take out what an earlier judgement said of the forget set: its models may be others by now."""
    folder, mine = bench.stage.folder, {"forget_set": bench.forget}
    schemas = {EXAMINATIONS: examinations_schema(), EXAMINATION_SUMMARY: examination_summary_schema()}
    for name in [name for name in schemas if (folder.path / name).is_file()]:
        replace_rows(folder.path, name, mine, schemas[name].empty_table())
    said = folder.facts().get("examined")
    if isinstance(said, Mapping):
        others = {key: value for key, value in said.items() if not key.startswith(f"{bench.forget}/")}
        folder.update_run(examined=others)


def _examined(bench: Bench, examination: Examination, path: str) -> Sequence[Column]:
    """What was found of a model before, or else is found now."""
    file = kept_path(bench.stage.folder.path, bench, examination, path)
    kept = _on_all_ranks(bench.stage, None if file is None or bench.stage.fast_dev_run else read_kept(file))
    if kept is not None:
        return kept
    columns = list(examination.examine(bench, path))
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    if file is not None and first and not bench.stage.fast_dev_run:
        write_kept(file, columns)
    return columns


def _on_all_ranks(stage: Stage, kept: Sequence[Column] | None) -> Sequence[Column] | None:
    """What rank 0 has read: ranks on other machines may not see its files."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return kept
    every = [kept]
    torch.distributed.broadcast_object_list(every, src=0)
    return every[0]


def _write(bench: Bench, examination: Examination, found: Found, concluded: Concluded) -> None:
    import pyarrow as pa

    folder, forget = bench.stage.folder.path, bench.forget
    methods = methods_of(bench.stage, bench.models, forget)
    mine: dict[str, Any] = {"forget_set": forget, "examination": examination.name}

    def state(path: str) -> dict[str, Any]:
        return {**mine, "model": path, "method": methods[path], "role": bench.role(path), "seed": bench.seed(path)}

    tables = [pa.Table.from_pylist([], schema=examinations_schema())]
    for path, columns in found.items():
        for column in (*columns, *concluded.columns.get(path, ())):
            kept = np.flatnonzero(column.weights)
            rows = {"example": kept, "value": column.values[kept], "weight": column.weights[kept]}
            where = {"condition": column.condition, "at": column.at, "measure": column.measure}
            more = {"dataset": column.dataset, "unit": column.unit}
            tables.append(filled(examinations_schema(), {**state(path), **where, **more}, rows))
    replace_rows(folder, EXAMINATIONS, mine, pa.concat_tables(tables))
    summary = [
        {
            **state(one.model),
            **value_columns(Mean(one.value, one.low, one.high)),
            **{name: getattr(one, name) for name in ("statistic", "measure", "dataset", "unit", "condition", "at")},
        }
        for one in concluded.numbers
    ]
    table = pa.Table.from_pylist(summary, schema=examination_summary_schema())
    replace_rows(folder, EXAMINATION_SUMMARY, mine, table)
    columns = [column for every in (found, concluded.columns) for mine in every.values() for column in mine]
    measures = dict.fromkeys([column.measure for column in columns] + [one.measure for one in concluded.numbers])
    text = {"title": examination.title, "axis": examination.axis, "measure": examination.measure}
    bench.stage.folder.add_to_run(
        measures=measure_texts(measures),
        examinations={examination.name: text},
        examined={f"{forget}/{examination.name}": dict(concluded.said)},
    )
    for note in concluded.notes:
        bench.stage.tell("info", note)
