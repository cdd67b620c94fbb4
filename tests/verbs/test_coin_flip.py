"""Canaries by coin flip from the command line: the bounds in the tables against binomial sums over the rows."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.optimize import brentq
from scipy.stats import binom

from lightning_untrac.tables import read_measurements
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.measurements import SUMMARY
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY

CANARIES = 48


@pytest.fixture(scope="module")
def content(settings: dict[str, Any]) -> dict[str, Any]:
    """A corpus of canaries that a coin let in, beside the corpora of a run, and those that stayed out."""
    entry = {"path": "builtin:planted/out", "num_examples": CANARIES}
    entered, stayed_out = ({**entry, "coin_flip": {"seed": 7, "side": side}} for side in ("in", "out"))
    data = settings["data"]
    corpora = [*data["corpora"], {**entered, "name": "canaries", "copies": 3}]
    holdout = [{**stayed_out, "name": "kept_out", "twins_of": "canaries"}]
    return {"data": {**data, "corpora": corpora, "holdout": holdout, "max_length": 60}, "trainer": settings["trainer"]}


@pytest.fixture(scope="module")
def audited(
    tmp_path_factory: Any, content: dict[str, Any], recipe_content: Any, untrac: Callable[..., Any]
) -> tuple[Path, dict[str, str]]:
    """A folder with a model that was trained on canaries, evaluated and judged; and what each verb said."""
    folder = tmp_path_factory.mktemp("canaries")
    train, read = folder / "train.yaml", folder / "read.yaml"
    model = {**recipe_content["model"], "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}}
    train.write_text(yaml.safe_dump({**content, "model": model}))
    read.write_text(yaml.safe_dump(content))
    said = {}
    for verb, *more in (
        ("pretrain", "--steps", "30"),
        ("evaluate", "--measures", "loss,exposure,unique_4grams,min_k"),
        ("retrain", "--forget", "canaries", "--seeds", "[0]", "--steps", "4"),
        ("judge", "--forget", "canaries", "--models", "[original]", "--attacks", "min_k,exposure"),
    ):
        if verb == "judge":
            shutil.copytree(folder / "run" / "model", folder / "run" / "original")
        config = train if verb == "pretrain" else read
        ran = untrac(verb, "--config", config, "--output", folder / "run", *more)
        assert ran.code == 0, ran.text
        said[verb] = ran.text
    return folder / "run", said


def bound(entered: np.ndarray, stayed_out: np.ndarray) -> tuple[float, int]:
    """Of losses: the bound by root finding, and how many of the lowest quarter had stayed out."""
    rows = sorted([(loss, 0) for loss in stayed_out] + [(loss, 1) for loss in entered])
    guesses = len(rows) // 4
    wrong = guesses - sum(flag for _, flag in rows[:guesses])

    def gap(epsilon: float) -> float:
        return float(binom.cdf(wrong, guesses, 1 / (1 + math.exp(epsilon)))) - 0.05

    return (brentq(gap, 0, 50) if gap(0) < 0 else 0.0), wrong


def test_evaluate_bounds_epsilon_by_each_measure_that_ranks_a_text_by_itself(
    audited: tuple[Path, dict[str, str]],
) -> None:
    folder, said = audited
    rows = read_measurements(folder).to_pandas()
    rows = rows[rows["method"] == "evaluate"]  # the retrained model was measured too
    values = {key: one["value"].to_numpy() for key, one in rows.groupby(["measure", "dataset"])}
    summary = read_table(folder / SUMMARY).to_pandas()
    summary = summary[summary["method"] == "evaluate"].set_index(["measure", "dataset", "statistic"])
    told = {key[0] for key in summary.index if key[2] == "epsilon_at_least"}
    assert told == {"loss", "min_k"}  # no rank among those that stayed out, and nothing without a direction
    assert {key[1] for key in summary.index if key[2] == "epsilon_at_least"} == {"canaries"}
    for measure in told:
        entered, stayed_out = (values[measure, name] for name in ("canaries", "kept_out"))
        assert len(entered) + len(stayed_out) == CANARIES
        epsilon, wrong = bound(entered, stayed_out)
        assert summary.loc[(measure, "canaries", "epsilon_at_least"), "value"] == pytest.approx(epsilon, abs=1e-6)
        assert summary.loc[(measure, "canaries", "canaries_wrong"), "value"] == wrong
        assert summary.loc[(measure, "canaries", "canaries_wrong"), "unit"] == f"of {CANARIES // 4}"
    assert "canaries: epsilon is at least" in said["evaluate"]


def test_judge_bounds_it_for_each_model_and_attack(audited: tuple[Path, dict[str, str]]) -> None:
    folder, said = audited
    rows = read_table(folder / MEMORISATION).to_pandas()
    values = {key: one["value"].to_numpy() for key, one in rows.groupby(["role", "measure", "dataset"])}
    summary = read_table(folder / MEMORISATION_SUMMARY).to_pandas().set_index(["role", "measure", "statistic"])["value"]
    for role in ("original", "unlearned", "retrained"):
        epsilon, wrong = bound(values[role, "loss", "canaries"], values[role, "loss", "kept_out"])
        assert summary[role, "attack_loss", "epsilon_at_least"] == pytest.approx(epsilon, abs=1e-6)
        assert summary[role, "attack_loss", "canaries_wrong"] == wrong
        assert (role, "attack_min_k", "epsilon_at_least") in summary.index
        assert (role, "attack_exposure", "auc") in summary.index
        assert (role, "attack_exposure", "epsilon_at_least") not in summary.index
    assert summary["original", "attack_loss", "canaries_wrong"] == summary["unlearned", "attack_loss", "canaries_wrong"]
    for part in ("epsilon, at least", f"are {CANARIES} canaries by coin flip; {CANARIES // 4} guesses"):
        assert part in " ".join(said["judge"].split())


def test_another_flip_proves_nothing(audited: tuple[Path, dict[str, str]], content: Any, untrac: Any) -> None:
    folder, _ = audited
    other = Path(shutil.copytree(folder, folder.with_name("other")))
    (holdout,) = content["data"]["holdout"]
    data = {**content["data"], "holdout": [{**holdout, "coin_flip": {"seed": 8, "side": "out"}}]}
    config = other.with_name("other.yaml")
    config.write_text(yaml.safe_dump({**content, "data": data}))
    ran = untrac("evaluate", "--config", config, "--output", other, "--measures", "loss")
    assert ran.code == 0, ran.text
    assert "epsilon" not in ran.text
    summary: pd.DataFrame = read_table(other / SUMMARY).to_pandas()
    models = summary[(summary["method"] == "evaluate") & (summary["measure"] == "loss")].groupby("model")
    told = {Path(model).parent.name: set(rows["statistic"]) for model, rows in models}
    assert "epsilon_at_least" not in told["other"]
