"""How each part of a forget set was forgotten step by step: the table against numbers made anew, and what shows it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console
from scipy.special import logsumexp

from lightning_untrac.results.memorised_steps import find_memorisation_steps, steps_table, steps_tables
from lightning_untrac.results.memorised_steps_plot import plot_steps, save_steps_plot
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.memorised_data import KNOWN, LOSS, Memorised, Read
from lightning_untrac.runs.memorised_steps import write_memorisation_steps
from lightning_untrac.runs.outliers import levels_of
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.measurements import (
    MEASUREMENTS,
    SUMMARY,
    measurements_table,
    replace_rows,
    summary_schema,
)
from lightning_untrac.tables.memorisation_steps import MEMORISATION_STEPS

MODELS = Compared("a/model", ["a/unlearned-f-x"], {0: "a/retrained-f/seed-0", 1: "a/retrained-f/seed-1"})
RETRAINED = list(MODELS.retrained.values())
COUNT, STEPS = 12, [0, 2, 5]
BESIDE = {"retained": ["news", "forum"], "test_sets": ["questions"]}
GROUPS = tuple("164"[place % 3] if place % 3 != 1 else "16" for place in range(COUNT))  # "1", "16" and "4"


@pytest.fixture
def losses() -> np.ndarray:
    """Of each reading and sequence: from well known to well above what retrained models know."""
    chance = np.random.default_rng(0)
    never = 3 + chance.random(COUNT)
    return np.stack([never - 1 - chance.random(COUNT), never - 0.4, never + 0.8])


@pytest.fixture
def memorised(losses: np.ndarray) -> Memorised:
    chance = np.random.default_rng(1)
    values = {path: {KNOWN: chance.random(COUNT), LOSS: 3 + chance.random(COUNT)} for path in MODELS.every}
    values["a/model"][LOSS], values["a/unlearned-f-x"][LOSS] = losses[0], losses[-1]
    return Memorised(MODELS, Read("f", np.arange(COUNT) + 1, np.arange(5.0, 5 + COUNT), GROUPS, values), [])


@pytest.fixture
def measured() -> dict[str, Any]:
    """What the judgement has read of the other datasets."""
    chance = np.random.default_rng(2)
    sizes = {"news": 3, "forum": 5, "questions": 4}
    return {
        path: {
            f"{LOSS}/value": {name: chance.random(size) for name, size in sizes.items()},
            f"{LOSS}/weight": {name: np.arange(1.0, size + 1) for name, size in sizes.items()},
        }
        for path in MODELS.every
    }


@pytest.fixture
def folder(tmp_path: Path, memorised: Memorised, losses: np.ndarray) -> Path:
    """With what two unlearnings have left there; the other one's rows must not count."""
    forget, tables, summary = memorised.forget, [], []
    for method, name, shift in (("unlearn:x", "a/unlearned-f-x", 0.0), ("unlearn:y", "a/unlearned-f-y", 9.0)):
        for place, step in enumerate(STEPS):
            state = {"model": name if step else "b/model", "method": method, "forget_set": "f", "seed": 0, "step": step}
            for measure, values in ((LOSS, losses[place] + shift), (KNOWN, memorised.forget.values["a/model"][KNOWN])):
                more = {"measure": measure, "dataset": "f", "unit": "u", "status": "ok"}
                columns = {"example": forget.examples, "value": values, "weight": forget.tokens}
                tables.append(measurements_table({**state, **more}, columns))
            for dataset, weight, mean in (("news", 10, 1.0), ("forum", 30, 2.0), ("questions", 7, 4.0)):
                for statistic, value in (("mean", mean + 0.1 * place + shift), ("weight", weight)):
                    more = {"measure": LOSS, "dataset": dataset, "statistic": statistic, "value": float(value)}
                    summary.append({**state, **more, "unit": "u", "status": "ok"})
    replace_rows(tmp_path, MEASUREMENTS, {}, pa.concat_tables(tables))
    replace_rows(tmp_path, SUMMARY, {}, pa.Table.from_pylist(summary, schema=summary_schema()))
    return tmp_path


@pytest.fixture
def rows(folder: Path, memorised: Memorised, measured: dict[str, Any]) -> pd.DataFrame:
    levels = levels_of(memorised, "a/model", KNOWN, "sequence")
    assert write_memorisation_steps(folder, memorised, measured, BESIDE, KNOWN, levels) == []
    return read_table(folder / MEMORISATION_STEPS).to_pandas()


def test_genex_of_each_reading_and_part_is_made_of_its_losses(
    rows: pd.DataFrame, memorised: Memorised, losses: np.ndarray
) -> None:
    never = np.stack([memorised.forget.values[path][LOSS] for path in RETRAINED])
    genex = -losses - (logsumexp(-never, axis=0) - np.log(2))
    mine = rows[rows["role"] == "unlearned"]
    assert set(mine["model"]) == {"a/unlearned-f-x"}
    by_group = {group: [place for place, one in enumerate(GROUPS) if one == group] for group in set(GROUPS)}
    hard = np.argsort(never.mean(axis=0))
    memory = memorised.forget.values["a/model"][KNOWN] - np.mean(
        [memorised.forget.values[path][KNOWN] for path in RETRAINED], axis=0
    )
    expected = {("all", "all"): list(range(COUNT)), **{("group", group): at for group, at in by_group.items()}}
    for split, order in (("difficulty", hard), ("memorisation", np.argsort(memory))):
        expected |= {(split, name): order[4 * place : 4 * place + 4].tolist()
                     for place, name in enumerate(("low", "middle", "high"))}  # fmt: skip
    assert set(zip(mine["split"], mine["part"], strict=True)) == set(expected)
    for (split, part), chosen in expected.items():
        here = mine[(mine["split"] == split) & (mine["part"] == part)]
        assert set(here["sequences"]) == {len(chosen)}
        of = here[here["step"].notna()].set_index(["statistic", "step"])["value"]
        np.testing.assert_allclose(of["genex"][STEPS], genex[:, chosen].mean(axis=1))
        np.testing.assert_allclose(of["genex_size"][STEPS], np.abs(genex[:, chosen]).mean(axis=1))
        curve = genex[:, chosen].mean(axis=1)
        whole = here[here["step"].isna()].set_index("statistic")["value"]
        np.testing.assert_allclose(np.interp(whole["steps_to_tenth"], STEPS, curve), 0.1 * curve[0])
        rise = np.interp(whole["steps_to_tenth"], STEPS, [0, 0.1, 0.2])
        assert whole["retained_rise_at_tenth"] == pytest.approx(rise)


def test_losses_beside_are_token_means_above_the_retrained_models(rows: pd.DataFrame, measured: dict[str, Any]) -> None:
    def loss(path: str, names: list[str]) -> float:
        arrays = measured[path]
        values, weights = (np.concatenate([arrays[f"{LOSS}/{part}"][n] for n in names]) for part in ("value", "weight"))
        return float(np.average(values, weights=weights))

    for name, datasets, start in (("retained", ["news", "forum"], 1.75), ("test_sets", ["questions"], 4.0)):
        never = {path: loss(path, datasets) for path in RETRAINED}
        mean = np.mean(list(never.values()))
        mine = rows[(rows["statistic"] == name) & (rows["role"] == "unlearned")].sort_values("step")["value"]
        np.testing.assert_allclose(mine, start + np.array([0, 0.1, 0.2]) - mean)
        for path in RETRAINED:
            stands = rows[(rows["statistic"] == name) & (rows["model"] == path)]["value"].item()
            assert stands == pytest.approx(never[path] - mean)


def test_a_page_a_terminal_and_a_picture_show_it(rows: pd.DataFrame, folder: Path) -> None:
    every = find_memorisation_steps(folder)
    assert [one.role for one in every] == ["unlearned", "retrained", "retrained"]
    assert [part.name for part in every[0].parts] == ["all", "1", "4", "16", *("low", "middle", "high") * 2]
    page = steps_tables(every)
    assert page.count("<tr>") >= 11
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(steps_table(every, 120))
    assert "by how hard it is for retrained models" in console.export_text()
    figure = plot_steps(every)
    assert len(figure.axes) == 4
    for axes, (y, x) in zip(figure.axes, [(y, x) for y in ("outside", "genex_size") for x in BESIDE], strict=True):
        line = next(one for one in axes.lines if one.get_linestyle() == "-")
        np.testing.assert_allclose(line.get_xdata(), every[0].courses[x])
        np.testing.assert_allclose(line.get_ydata(), every[0].courses[y])
    path = save_steps_plot(folder, every)
    assert path is not None
    assert path.is_file()
    assert save_steps_plot(folder, every[1:]) is None


def test_readings_of_other_sequences_are_left_out_and_that_is_said(
    folder: Path, memorised: Memorised, measured: dict[str, Any]
) -> None:
    forget = memorised.forget
    other = Read("f", forget.examples, forget.tokens + 1, None, forget.values)
    (note,) = write_memorisation_steps(folder, Memorised(MODELS, other, []), measured, BESIDE, KNOWN, None)
    assert note.startswith("unlearned-f-x: its readings do not hold the loss of each sequence")
    assert not any(row["role"] == "unlearned" for row in read_table(folder / MEMORISATION_STEPS).to_pylist())
    assert steps_table(find_memorisation_steps(folder)) is None


def test_what_never_came_down_says_so(folder: Path, memorised: Memorised, measured: dict[str, Any]) -> None:
    table = read_table(folder / MEASUREMENTS).to_pandas()
    table.loc[(table["measure"] == LOSS) & (table["step"] > 0), "value"] = 0.5
    replace_rows(folder, MEASUREMENTS, {"dataset": "f"}, pa.Table.from_pandas(table, preserve_index=False))
    write_memorisation_steps(folder, memorised, measured, BESIDE, KNOWN, None)
    (found, *_) = find_memorisation_steps(folder)
    assert math.isinf(found.parts[0].values["steps_to_half"].value)
    assert "&gt; 5" in steps_tables([found])
