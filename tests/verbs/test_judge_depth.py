"""``judge --measures depth``: UDS from the command line to the tables, and on ranks."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import processes
import pytest
import torch
from commands import Ran
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.files import read_table

ALL_LAYERS = json.dumps(["loss", {"class_path": "depth", "init_args": {"threshold": 1e-6}}])
"""So small a model has hardly learned anything."""


def rows_of(folder: Path, table: str = EXAMINATIONS) -> pd.DataFrame:
    rows: pd.DataFrame = read_table(folder / table).to_pandas()
    rows["model"] = [Path(model).name for model in rows["model"]]
    return rows[rows["examination"] == "depth"]


@pytest.fixture(scope="module")
def examined(judged_run: Path, tmp_path_factory: pytest.TempPathFactory, untrac: Callable[..., Ran]) -> Path:
    folder = Path(shutil.copytree(judged_run, tmp_path_factory.mktemp("depth") / "run"))
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--measures", ALL_LAYERS)
    assert ran.code == 0, ran.text
    return folder


def test_both_ends_are_exact(examined: Path) -> None:
    rows = rows_of(examined)
    scores = rows[rows["measure"] == "unlearning_depth"].set_index(["model", "condition"])["value"]
    assert (scores["unlearned-birds-not", ""] == 0).all()  # a copy of the original
    assert (scores["unlearned-birds-wholly", "against seed 1"] == 1).all()  # a copy of that retrained model
    assert (scores["seed-0", ""] < 1).all()
    effects = rows[rows["measure"] == "patching_effect"].set_index("model")["value"]
    assert (effects["unlearned-birds-not"] == 0).all()
    assert (effects["seed-1"].to_numpy() == effects["unlearned-birds-wholly"].to_numpy()).all()
    assert (effects["seed-1"] != 0).all()


def test_a_retrained_model_is_held_against_the_others(examined: Path) -> None:
    rows = rows_of(examined)
    scores = rows[rows["measure"] == "unlearning_depth"].set_index(["model", "condition", "example"])["value"]
    alone = scores["seed-1", ""]  # against seed 0, as there is no other
    copied = scores["unlearned-birds-wholly", "against seed 0"]
    assert alone.to_dict() == copied.to_dict()
    each = pd.concat([scores["unlearned-birds", f"against seed {seed}"] for seed in (0, 1)], axis=1)
    mean = scores["unlearned-birds", ""]
    np.testing.assert_allclose(each.mean(axis=1).loc[mean.index], mean, rtol=1e-12)


def test_the_effect_is_that_of_the_states_put_in(examined: Path, text_files: dict[str, Path]) -> None:
    rows = rows_of(examined)
    rows = rows[rows["dataset"] == "birds"]
    effects = rows[rows["measure"] == "patching_effect"].set_index(["model", "at", "example"])["value"]
    original, source = (AutoModelForCausalLM.from_pretrained(examined / name) for name in ("model", "unlearned-birds"))
    norm, source.model.norm = original.model.norm, torch.nn.Identity()
    tokenizer = AutoTokenizer.from_pretrained(examined / "model")
    for example, line in enumerate(text_files["birds"].read_text().splitlines()):
        text = tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
        ids = torch.tensor([[tokenizer.eos_token_id, *text]])
        if (0.0, example) not in effects["unlearned-birds"].index:
            continue
        with torch.no_grad():
            patched = original.lm_head(norm(source.model(ids).last_hidden_state))[0, :-1]
            whole = original(ids).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy
        aim = loss(patched, ids[0, 1:]) - loss(whole, ids[0, 1:])
        assert effects["unlearned-birds", 0.0, example] == pytest.approx(aim.item(), rel=1e-3, abs=1e-6)


def test_what_is_said_and_summed(examined: Path) -> None:
    rows, summary = rows_of(examined), rows_of(examined, EXAMINATION_SUMMARY)
    assert set(summary["statistic"]) == {"mean"}
    assert set(summary["dataset"]) == {"birds", "ships"}
    for keys, mine in rows.groupby(["model", "measure", "dataset", "condition"]):
        mean = summary.set_index(["model", "measure", "dataset", "condition"]).loc[keys]
        assert mean["value"] == pytest.approx(np.average(mine["value"], weights=mine["weight"]))
        assert mean["ci_low"] <= mean["value"] <= mean["ci_high"]
    run = json.loads((examined / "run.json").read_text())
    said = {Path(model).name: text for model, text in run["examined"]["birds/depth"].items()}
    assert set(said) == {"unlearned-birds", "unlearned-birds-not", "unlearned-birds-wholly"}
    assert said["unlearned-birds-not"] == "unlearned-birds-not shows no forgetting in depth: UDS 0.00 (0.00 to 0.00)."
    assert " 2 retrained models" in said["unlearned-birds-wholly"]
    assert {"patching_effect", "unlearning_depth"} <= set(run["measures"])


def test_another_threshold_runs_no_model_and_leaves_examples_out(examined: Path, untrac: Callable[..., Ran]) -> None:
    before = rows_of(examined)
    stamps = {path: path.stat().st_mtime_ns for path in (examined / "examined").iterdir()}
    high = json.dumps(["loss", {"class_path": "depth", "init_args": {"threshold": 100.0}}])
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--measures", high)
    assert ran.code == 0, ran.text
    assert "depth: 12 of 12 examples of birds are left out" in ran.text
    assert {path: path.stat().st_mtime_ns for path in (examined / "examined").iterdir()} == stamps
    after = rows_of(examined)
    assert set(after["measure"]) == {"patching_effect"}
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--measures", ALL_LAYERS)
    assert ran.code == 0
    pd.testing.assert_frame_equal(rows_of(examined), before)


def test_a_dataset_that_is_retained_is_a_control(examined: Path, judged_run: Path) -> None:
    rows = rows_of(examined)
    effects = rows[rows["measure"] == "patching_effect"]
    assert (effects[effects["model"] == "unlearned-birds-not"]["value"] == 0).all()
    assert set(rows[rows["measure"] == "unlearning_depth"]["dataset"]) == {"birds"}
    means = effects[effects["model"].isin(["seed-0", "seed-1"])].groupby(["dataset", "model"])["value"].mean()
    notes = json.loads((examined / "notes.json").read_text()) if (examined / "notes.json").exists() else []
    said = f"take {means['ships'].max():.2f} nats per token from ships and {means['birds'].max():.2f} from birds"
    assert said in json.dumps(notes)


def test_what_is_refused(judged_run: Path, untrac: Callable[..., Ran]) -> None:
    low = json.dumps(["loss", {"class_path": "depth", "init_args": {"threshold": -1.0, "controls": -2}}])
    ran = untrac("judge", "--forget", "birds", "--output", judged_run, "--measures", low)
    assert ran.code == 2
    assert "depth: threshold: -1.0; give at least 0 (nats per token)" in ran.text
    assert "depth: controls: -2; give at least 0 (retained datasets)" in ran.text


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_find_what_one_does(strategy: str, examined: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(examined, tmp_path / "run"))
    shutil.rmtree(folder / "examined")
    command: tuple[Any, ...] = ("judge", "--forget", "birds", "--output", folder, "--measures", ALL_LAYERS)
    command += ("--trainer.devices", 2, "--trainer.strategy", strategy, "--data.eval_batch_size", 5)
    ranks = processes.start_ranks(2, *command, log=tmp_path / "log", OMP_NUM_THREADS="1")
    assert [rank.wait() for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    keys = ["model", "measure", "dataset", "condition", "at", "example"]
    mine, theirs = (rows_of(one).set_index(keys)["value"] for one in (folder, examined))
    assert len(mine) > 12
    effects = mine.index.get_level_values("measure") == "patching_effect"
    np.testing.assert_allclose(mine[effects], theirs.loc[mine.index[effects]], rtol=1e-3, atol=1e-6)
