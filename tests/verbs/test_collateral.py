"""What an unlearning run predicts of its cost: a step of SGD has a closed form, and the report checks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.tables.measurements import read_summary

ASCENT = (
    *("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.02", "--steps", "1", "--readings", "1"),
    *("--model.unlearning_objective.forget", "GradientAscent", "--data.batch_size", "16"),
)


def losses(folder: Path) -> list[dict[str, list[float]]]:
    """Losses before and after by dataset, of each run."""
    table = read_summary(folder)
    assert table is not None
    found: dict[str, dict[str, list[float]]] = {}
    for row in sorted(table.to_pylist(), key=lambda row: row["step"] or 0):
        if row["statistic"] == "mean" and row["measure"] == "loss" and row["step"] is not None:
            found.setdefault(row["method"], {}).setdefault(row["dataset"], []).append(row["value"])
    return list(found.values())


def test_a_step_of_ascent_costs_what_was_predicted(run_copy: Path, untrac: Callable[..., Any]) -> None:
    ran = untrac("unlearn", "--forget", "birds", "--output", run_copy, *ASCENT)
    assert ran.code == 0, ran.text
    assert "that of birds rises by 1" in ran.text
    told = json.loads((run_copy / "run.json").read_text())["predicted"]["unlearn-birds"]
    rises = {row["dataset"]: row["rise"] for row in told["rows"]}
    (found,) = losses(run_copy)
    change = {name: after - before for name, (before, after) in found.items()}
    assert set(rises) == set(change) - {"birds"}
    assert change["birds"] > 0
    for name, rise in rises.items():
        assert change[name] / change["birds"] == pytest.approx(rise, rel=0.05, abs=0.01), name
    assert {row["dataset"] for row in told["rows"] if row["influence"] is not None} == {"ask-birds", "ask-ships"}
    assert untrac("report", "--output", run_copy).code == 0
    page = (run_copy / "report.html").read_text()
    assert "Predicted, and what came" in page
    assert "Rank correlation (n = 4)" in page
    # Without it the losses are the same to the last bit, and it is the same run.
    again = untrac("unlearn", "--forget", "birds", "--output", run_copy, *ASCENT, "--predict", "false")
    assert "finished already" in again.text
    ran = untrac("unlearn", "--forget", "birds", "--output", run_copy, *ASCENT, "--predict", "false", "--name", "x")
    assert ran.code == 0, ran.text
    assert "rises by 1" not in ran.text
    assert losses(run_copy) == [found, found]
