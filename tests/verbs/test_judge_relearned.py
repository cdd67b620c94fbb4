"""``judge --examinations relearned``, beside ``untrac relearn``, which is held against training by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Ran

from lightning_untrac.tables import read_summary
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.files import read_table


@pytest.fixture(scope="module")
def relearned(judged_run: Path, tmp_path_factory: pytest.TempPathFactory, untrac: Callable[..., Ran]) -> Path:
    folder = Path(shutil.copytree(judged_run, tmp_path_factory.mktemp("relearned") / "run"))
    settings = {"steps": 4, "readings": [1, 4], "learning_rate": 0.01}
    asked = json.dumps(["loss", {"class_path": "relearned", "init_args": settings}])
    before = set(folder.rglob("*.safetensors"))
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", asked)
    assert ran.code == 0, ran.text
    assert set(folder.rglob("*.safetensors")) == before  # nothing is saved
    return folder


def test_means_are_those_of_the_verb(relearned: Path, untrac: Callable[..., Ran]) -> None:
    given = ("--share", 0.5, "--steps", 4, "--readings", "[1,4]", "--measures", "loss", "--models", "[unlearned-birds]")
    rate = ("--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", 0.01)
    ran = untrac("relearn", "--forget", "birds", "--output", relearned, *given, *rate)
    assert ran.code == 0, ran.text
    theirs = {
        (row["step"], row["dataset"]): row["value"]
        for row in read_summary(relearned).to_pylist()
        if row["method"] == "relearn:unlearned-birds" and row["statistic"] == "mean"
    }
    rows = read_table(relearned / EXAMINATION_SUMMARY).to_pandas()
    rows = rows[(rows["statistic"] == "mean") & rows["model"].str.endswith("/unlearned-birds")]
    mine = {(int(row.at), row.dataset): row.value for row in rows.itertuples()}
    assert {step for step, _ in mine} == {0, 1, 4}
    assert {dataset for _, dataset in mine} == {"birds-rest", "birds-chosen"}
    for key, value in mine.items():
        assert value == pytest.approx(theirs[key], rel=1e-6)
    assert mine[4, "birds-chosen"] < mine[0, "birds-chosen"]


def test_copies_come_back_as_what_they_are(relearned: Path) -> None:
    rows = read_table(relearned / EXAMINATIONS).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    assert set(rows.loc[rows["model"] == "model", "at"]) == {0.0}  # the original is not fine-tuned
    found = rows.set_index(["model", "dataset", "at", "example"])["value"].sort_index()
    np.testing.assert_array_equal(found["unlearned-birds-wholly"], found["seed-1"])
    at_start = found["unlearned-birds-not", "birds-rest", 0.0]
    np.testing.assert_array_equal(at_start, found["model", "birds-rest", 0.0])
    summary = read_table(relearned / EXAMINATION_SUMMARY).to_pandas()
    summary["model"] = [Path(model).name for model in summary["model"]]
    robust = summary[summary["statistic"] == "relearning_robustness"].set_index("model")["value"]
    assert set(robust.index) == {"unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly"}
    means = summary[(summary["statistic"] == "mean") & (summary["dataset"] == "birds-rest")]
    means = means.set_index(["model", "at"])["value"].sort_index()
    change = {name: means[name, 4.0] - means[name, 0.0] for name in ("unlearned-birds", "seed-0", "seed-1")}
    mine, control = change["unlearned-birds"], (change["seed-0"] + change["seed-1"]) / 2
    assert robust["unlearned-birds"] == pytest.approx(1 - abs(mine - control) / (abs(mine) + abs(control)))
    half = summary[summary["statistic"] == "steps_to_half"].set_index("model")["value"]
    said = json.loads((relearned / "run.json").read_text())["examined"]["birds/relearned"]
    assert len(said) == 3
    if len(half):
        assert half["unlearned-birds-not"] == 0
        assert half["unlearned-birds-wholly"] == half["seed-1"]
    else:
        assert all("nothing could come back" in sentence for sentence in said.values())


def test_what_is_wrong_is_said_before_the_work(judged_run: Path, untrac: Callable[..., Ran]) -> None:
    wrong = {"share": 1.5, "by": "group", "steps": 0, "readings": [0], "learning_rate": -1}
    asked = json.dumps(["loss", {"class_path": "relearned", "init_args": wrong}])
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--measures", asked)
    assert ran.code == 2
    for part in ("share: 1.5", "birds names no `group`", "steps: 0", "readings: [0]", "learning_rate: -1"):
        assert part in ran.text, ran.text
