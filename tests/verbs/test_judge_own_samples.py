"""``judge --measures own_samples``: from the command line to the tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import Ran

from lightning_untrac.examinations.own_samples import ITS_OWN, THEIRS
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, EXAMINATIONS
from lightning_untrac.tables.files import read_table

SETTINGS = {"prefix": 6, "length": 5, "samples": 2}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A configuration that asks for the examination."""

    def write(**settings: Any) -> Path:
        path = tmp_path_factory.mktemp("asked") / "judge.yaml"
        given = [{"class_path": "own_samples", "init_args": {**SETTINGS, **settings}}]
        path.write_text(yaml.safe_dump({"measures": ["loss", *given]}))
        return path

    return write


@pytest.fixture(scope="module")
def examined(
    judged_run: Path, asked: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, untrac: Callable[..., Ran]
) -> Path:
    folder = Path(shutil.copytree(judged_run, tmp_path_factory.mktemp("examined") / "run"))
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--config", asked())
    assert ran.code == 0, ran.text
    return folder


@pytest.fixture(scope="module")
def rows(examined: Path) -> Any:
    table = read_table(examined / EXAMINATIONS).to_pandas()
    table["model"] = [Path(model).name for model in table["model"]]
    return table.set_index(["model", "condition", "dataset"]).sort_index()


def test_a_copy_of_a_retrained_model_is_at_no_distance_from_it(rows: Any) -> None:
    for direction in (THEIRS, ITS_OWN):
        for dataset in ("birds", "ships", "bread"):
            copy = rows.loc["unlearned-birds-wholly", f"{direction}, seed 1", dataset]
            assert (copy["value"] == 0).all()
            assert (copy["weight"] > 0).all()
            # From the other retrained one it is as far as that model itself.
            mine, itself = (
                rows.loc[model, f"{direction}, seed 0", dataset].set_index("example")["value"]
                for model in ("unlearned-birds-wholly", "seed-1")
            )
            assert (mine == itself).all()
            assert (mine != 0).any()


def test_what_one_retrained_model_writes_is_read_by_the_other_either_way(rows: Any) -> None:
    one = rows.loc["seed-0", f"{ITS_OWN}, seed 1", "birds"]
    other = rows.loc["seed-1", f"{THEIRS}, seed 0", "birds"]
    assert one["value"].tolist() == other["value"].tolist()
    assert one["weight"].tolist() == other["weight"].tolist()


def test_the_summary_holds_the_means_and_what_they_are_beside_the_original(examined: Path, rows: Any) -> None:
    summary = read_table(examined / EXAMINATION_SUMMARY).to_pandas()
    summary["model"] = [Path(model).name for model in summary["model"]]
    found = summary.set_index(["model", "condition", "dataset", "statistic"])["value"]

    def mean(model: str, direction: str) -> float:
        parts = [rows.loc[model, f"{direction}, seed {seed}", "birds"] for seed in (0, 1)]
        return float(np.mean([np.average(part["value"], weights=part["weight"]) for part in parts]))

    for direction in (THEIRS, ITS_OWN):
        unlearned, original = (mean(model, direction) for model in ("unlearned-birds", "model"))
        assert found["unlearned-birds", direction, "birds", "distance"] == pytest.approx(unlearned)
        assert found["unlearned-birds", direction, "birds", "start"] == pytest.approx(original)
        assert found["model", direction, "birds", "distance"] == pytest.approx(original)
        assert found["unlearned-birds-not", direction, "birds", "change"] == 0  # a copy of the original
        assert found["unlearned-birds-wholly", direction, "birds", "excess"] < 0
    assert found["unlearned-birds", THEIRS, "birds", "noise"] == pytest.approx(
        found["unlearned-birds", ITS_OWN, "birds", "noise"]
    )
    assert "(retained)" in set(summary["dataset"])


def test_after_a_kill_the_same_numbers_come_out(
    examined: Path, asked: Callable[..., Path], untrac: Callable[..., Ran]
) -> None:
    before = [read_table(examined / name) for name in (EXAMINATIONS, EXAMINATION_SUMMARY)]
    files = sorted((examined / "examined").iterdir())
    next(path for path in files if "unlearned-birds-" in path.name).unlink()
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--config", asked())
    assert ran.code == 0, ran.text
    assert sorted((examined / "examined").iterdir()) == files
    assert [read_table(examined / name) for name in (EXAMINATIONS, EXAMINATION_SUMMARY)] == before


def test_wrong_settings_and_classifiers_are_refused_at_once(
    examined: Path, classified: Path, asked: Callable[..., Path], untrac: Callable[..., Ran]
) -> None:
    wrong = asked(prefix=0, samples=0)
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--config", wrong)
    assert ran.code != 0
    for said in ("own_samples: prefix: 0; give at least 1", "samples: 0; give at least 1"):
        assert said in ran.text
    ran = untrac("judge", "--forget", "birds", "--output", examined, "--config", asked(length=60))
    assert "length 60 after prefix 6 is more than the models' context of 64 tokens" in ran.text
    data = classified.parent / "data.yaml"
    given = ("--config", data, "--measures", "loss,own_samples")
    ran = untrac("judge", "--forget", "forget", "--output", classified, *given)
    assert ran.code != 0
    assert "own_samples: it reads what models write, and these are classifiers; leave it out" in ran.text
