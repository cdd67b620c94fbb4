"""A step that is thrown away takes with it what was measured of its models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightning_untrac.runs.discard import discard
from lightning_untrac.tables import read_measurements
from lightning_untrac.tables.measurements import MEASUREMENTS, measurements_table, replace_rows


def measured(folder: Path) -> set[str]:
    table = read_measurements(folder)
    return set() if table is None else set(table["model"].to_pylist())


def fill(folder: Path) -> tuple[str, str, str]:
    """Rows of a saved model, of one that was made from it, and of one of the hub."""
    saved, unlearned, hub = str(folder / "model"), str(folder / "unlearned-forum"), "org/gpt"
    for model in (saved, unlearned):
        Path(model).mkdir()
    for model, method, forget_set, step in (
        (saved, "evaluate", None, None),
        (hub, "evaluate", None, None),
        (hub, "unlearn:how", "forum", 0),  # before: the model that was unlearned
        (unlearned, "unlearn:how", "forum", 8),
    ):
        state = {"method": method, "forget_set": forget_set, "seed": 0, "measure": "loss", "dataset": "news"}
        columns = {"example": np.arange(2), "value": np.ones(2), "weight": np.ones(2)}
        rows = measurements_table({"model": model, **state, "step": step, "unit": "u", "status": "ok"}, columns)
        replace_rows(folder, MEASUREMENTS, {"model": model, "method": method}, rows)
    return saved, unlearned, hub


def test_of_an_unlearning_all_its_readings_go(tmp_path: Path) -> None:
    saved, _, hub = fill(tmp_path)
    (tmp_path / ".untrac").mkdir()
    discard(tmp_path, tmp_path / ".untrac", "unlearn-forum", {})
    assert measured(tmp_path) == {saved, hub}
    table = read_measurements(tmp_path)
    assert table is not None
    assert set(table["method"].to_pylist()) == {"evaluate"}


def test_unlearning_and_retraining_leave_each_others_rows(tmp_path: Path) -> None:
    saved, _, hub = fill(tmp_path)
    (tmp_path / ".untrac").mkdir()
    retrained = str(tmp_path / "retrained-forum" / "seed-0")
    state = {"model": retrained, "method": "retrain", "forget_set": "forum", "seed": 0, "measure": "loss"}
    columns = {"example": np.arange(2), "value": np.ones(2), "weight": np.ones(2)}
    rows = measurements_table({**state, "dataset": "news", "unit": "u", "status": "ok"}, columns)
    replace_rows(tmp_path, MEASUREMENTS, {"model": retrained}, rows)
    discard(tmp_path, tmp_path / ".untrac", "unlearn-forum", {})
    assert measured(tmp_path) == {saved, hub, retrained}
    discard(tmp_path, tmp_path / ".untrac", "retrain-forum", {})
    assert measured(tmp_path) == {saved, hub}


def test_of_a_training_the_rows_of_its_model_go(tmp_path: Path) -> None:
    _, unlearned, hub = fill(tmp_path)
    (tmp_path / ".untrac").mkdir()
    discard(tmp_path, tmp_path / ".untrac", "pretrain", {})
    assert measured(tmp_path) == {unlearned, hub}


def test_an_evaluation_takes_nothing(tmp_path: Path) -> None:
    names = set(fill(tmp_path))
    discard(tmp_path, tmp_path / ".untrac", "evaluate", {})
    assert measured(tmp_path) == names


@pytest.mark.parametrize("hub", ["org/model", "org/unlearned-forum"])
def test_a_model_of_the_hub_with_a_name_of_ours_stays(tmp_path: Path, hub: str) -> None:
    fill(tmp_path)
    state = {"method": "evaluate", "measure": "loss", "dataset": "news", "unit": "u", "status": "ok"}
    columns = {"example": np.arange(2), "value": np.ones(2), "weight": np.ones(2)}
    replace_rows(tmp_path, MEASUREMENTS, {"model": hub}, measurements_table({"model": hub, **state}, columns))
    (tmp_path / ".untrac").mkdir()
    for step in ("pretrain", "unlearn-forum"):
        discard(tmp_path, tmp_path / ".untrac", step, {})
    assert hub in measured(tmp_path)


@pytest.mark.parametrize("before", ["/elsewhere/run/model", "runs/old/model", "{name}/model"])
def test_a_folder_that_was_moved_knows_its_own_rows(tmp_path: Path, before: str) -> None:
    model = before.format(name=tmp_path.name)
    state = {"method": "evaluate", "measure": "loss", "dataset": "news", "unit": "u", "status": "ok"}
    columns = {"example": np.arange(2), "value": np.ones(2), "weight": np.ones(2)}
    replace_rows(tmp_path, MEASUREMENTS, {"model": model}, measurements_table({"model": model, **state}, columns))
    (tmp_path / ".untrac").mkdir()
    discard(tmp_path, tmp_path / ".untrac", "pretrain", {})
    assert measured(tmp_path) == set()
