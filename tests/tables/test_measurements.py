from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_untrac.errors import DamageWarning
from lightning_untrac.tables import MEASUREMENTS_SCHEMA, SUMMARY_SCHEMA, ResultsError, read_measurements, read_summary
from lightning_untrac.tables.measurements import MEASUREMENTS, drop_rows, measurements_table, replace_rows


def table(model: str, values: list[float], **state: Any) -> Any:
    shared = {
        "method": "evaluate",
        "measure": "loss",
        "dataset": "birds",
        "unit": "nats/token",
        "status": "ok",
        **state,
    }
    ones = np.ones(len(values))
    return measurements_table(
        {"model": model, **shared}, {"example": np.arange(len(values)), "value": np.array(values), "weight": ones}
    )


def test_the_columns_are_those_of_the_design() -> None:
    state = ["model", "method", "forget_set", "seed", "step", "measure", "dataset"]
    assert MEASUREMENTS_SCHEMA.names == [*state, "example", "group", "value", "weight", "unit", "status"]
    assert SUMMARY_SCHEMA.names == [*state, "statistic", "value", "ci_low", "ci_high", "unit", "status"]


def test_running_again_replaces_ones_own_rows_alone(tmp_path: Path) -> None:
    one, other = {"model": "a", "method": "evaluate"}, {"model": "b", "method": "evaluate"}
    replace_rows(tmp_path, MEASUREMENTS, one, table("a", [1.0, 2.0, 3.0]))
    replace_rows(tmp_path, MEASUREMENTS, other, table("b", [4.0]))
    replace_rows(tmp_path, MEASUREMENTS, one, table("a", [5.0, 6.0]))
    rows = read_measurements(tmp_path).to_pylist()
    assert [(row["model"], row["value"]) for row in rows] == [("a", 5.0), ("a", 6.0), ("b", 4.0)]


def test_null_is_a_value_like_any_other(tmp_path: Path) -> None:
    plain, made = {"forget_set": None, "seed": None}, {"forget_set": "birds", "seed": 0}
    replace_rows(tmp_path, MEASUREMENTS, plain, table("a", [1.0]))
    replace_rows(tmp_path, MEASUREMENTS, made, table("a", [2.0], **made))
    replace_rows(tmp_path, MEASUREMENTS, plain, table("a", [3.0]))
    assert sorted(row["value"] for row in read_measurements(tmp_path).to_pylist()) == [2.0, 3.0]


def test_the_order_of_writing_leaves_no_trace(tmp_path: Path) -> None:
    for folder, models in (("one", "ab"), ("two", "ba")):
        for model in models:
            replace_rows(tmp_path / folder, MEASUREMENTS, {"model": model}, table(model, [1.0, float("nan")]))
    assert (tmp_path / "one" / MEASUREMENTS).read_bytes() == (tmp_path / "two" / MEASUREMENTS).read_bytes()


def test_a_damaged_table_is_moved_aside_and_what_is_new_is_kept(tmp_path: Path) -> None:
    replace_rows(tmp_path, MEASUREMENTS, {"model": "a"}, table("a", [1.0]))
    path = tmp_path / MEASUREMENTS
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ResultsError):
        read_measurements(tmp_path)
    with pytest.warns(DamageWarning, match="moved to measurements.parquet.damaged"):
        replace_rows(tmp_path, MEASUREMENTS, {"model": "b"}, table("b", [2.0]))
    assert [row["model"] for row in read_measurements(tmp_path).to_pylist()] == ["b"]


def test_rows_of_models_that_are_gone_are_removed(tmp_path: Path) -> None:
    drop_rows(tmp_path, MEASUREMENTS, lambda *row: True)
    replace_rows(tmp_path, MEASUREMENTS, {"model": "a"}, table("a", [1.0]))
    replace_rows(tmp_path, MEASUREMENTS, {"model": "b"}, table("b", [1.0], forget_set="birds", seed=0, step=0))
    drop_rows(tmp_path, MEASUREMENTS, lambda model, method, forget_set: forget_set == "birds")
    assert [row["model"] for row in read_measurements(tmp_path).to_pylist()] == ["a"]
    drop_rows(tmp_path, MEASUREMENTS, lambda model, *others: model == "a")
    assert read_measurements(tmp_path) is read_summary(tmp_path) is None


def test_several_values_of_a_column_give_way_together(tmp_path: Path) -> None:
    for dataset in ("birds", "ships", "bread"):
        replace_rows(tmp_path, MEASUREMENTS, {"dataset": dataset}, table("a", [1.0], dataset=dataset))
    replace_rows(tmp_path, MEASUREMENTS, {"dataset": ["birds", "bread"]}, table("a", [2.0]))
    rows = read_measurements(tmp_path).to_pylist()
    assert [(row["dataset"], row["value"]) for row in rows] == [("birds", 2.0), ("ships", 1.0)]
