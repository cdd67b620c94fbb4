"""``unlearn --forget_share`` and what ``judge --examinations coreset`` says of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Ran

from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY
from lightning_untrac.tables.files import read_table

RAISING = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5", "--steps", "3")


def test_the_part_is_judged_beside_the_whole(
    judged_run: Path, tmp_path: Path, untrac: Callable[..., Ran], recipe_content: dict[str, object]
) -> None:
    folder = Path(shutil.copytree(judged_run, tmp_path / "run"))
    shutil.copy(judged_run.with_name("config.yaml"), tmp_path / "config.yaml")
    given = ("--config", tmp_path / "config.yaml", "--forget", "birds", "--output", folder)
    ran = untrac("unlearn", *given, *RAISING, "--forget_share", 0.25)
    assert ran.code == 0, ran.text
    assert (folder / "unlearned-birds-coreset" / "model.safetensors").is_file()
    asked = ("--measures", "loss,coreset")
    ran = untrac("judge", "--forget", "birds", "--output", folder, *asked)
    assert ran.code == 0, ran.text
    rows = read_table(folder / EXAMINATION_SUMMARY).to_pandas()
    assert {Path(model).name for model in rows["model"]} == {"unlearned-birds-coreset"}
    found = rows[rows["dataset"] == "birds"].iloc[0]
    means = read_table(folder / "judged_measures.parquet").to_pandas()
    means["model"] = [Path(model).name for model in means["model"]]
    means = means[(means["statistic"] == "mean") & (means["dataset"] == "birds")].set_index("model")["value"]
    apart = means["unlearned-birds-coreset"] - means["unlearned-birds"]
    assert found["value"] == pytest.approx(apart)
    (sentence,) = json.loads((folder / "run.json").read_text())["examined"]["birds/coreset"].values()
    assert "25 % of birds" in sentence
    told = found["ci_low"] > 0 or found["ci_high"] < 0
    assert ("the benchmark measures little" in sentence) == (not told and "nothing that can be told" not in sentence)
    ran = untrac("unlearn", *given, "--steps", 3, "--forget_share", 1.5, "--name", "x")
    assert ran.code == 2
    assert "forget_share: 1.5; give a part above 0 and below 1" in ran.text
    ran = untrac("unlearn", *given, "--method", "sga", "--forget_share", 0.5, "--name", "x")
    assert ran.code == 2
    assert "forget_share: goes with an objective" in ran.text
