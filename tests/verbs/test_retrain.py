"""``retrain``: the models that never saw a forget set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.tables import InfluenceStore, read_measurements, read_summary


def losses(folder: Path, forget: str, seed: int) -> dict[str, float]:
    """Mean losses of a retrained model by dataset."""
    rows = read_summary(folder).to_pylist()
    mine = {"method": "retrain", "forget_set": forget, "seed": seed, "measure": "loss", "statistic": "mean"}
    return {row["dataset"]: row["value"] for row in rows if mine.items() <= row.items()}


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def test_retraining_is_that_of_leave_out_and_goes_on_seed_by_seed(run_copy: Path, untrac: Any) -> None:
    retrain = ("retrain", "--forget", "birds", "--output", run_copy)
    ran = untrac(*retrain)
    assert ran.code == 0, ran.text
    models = [run_copy / "retrained-birds" / f"seed-{seed}" for seed in (0, 1)]
    assert weights(models[0]) != weights(models[1])
    # The same corpora, first weights, order and steps: an independent way to the same losses.
    table = InfluenceStore(run_copy).table().to_pylist()
    mine = {"method": "leave_out", "corpus": "birds", "seed": 0, "final": True}
    truth = {row["test_set"]: row["loss_after"] for row in table if mine.items() <= row.items()}
    found = losses(run_copy, "birds", 0)
    assert {name: found[name] for name in truth} == pytest.approx(truth, rel=1e-12)
    assert set(found) == {"birds", "ships", "bread", "ask-birds", "ask-ships"}

    assert "finished already" in untrac(*retrain).text
    before, kept = [weights(model) for model in models], models[0].stat().st_ino
    tables = [read(run_copy).to_pylist() for read in (read_measurements, read_summary)]
    shutil.rmtree(models[1])  # as if it had been killed there
    assert untrac(*retrain).code == 0
    assert [weights(model) for model in models] == before
    assert models[0].stat().st_ino == kept  # it was not made again
    assert [read(run_copy).to_pylist() for read in (read_measurements, read_summary)] == tables
    ran = untrac(*retrain, "--seeds", "[0,1,2]")
    assert ran.code == 0, ran.text
    assert models[0].stat().st_ino == kept
    assert set(losses(run_copy, "birds", 2)) == set(found)


def test_without_what_was_never_trained_on_it_is_training_again(run_copy: Path, untrac: Any) -> None:
    ran = untrac("retrain", "--forget", "ask-birds", "--seeds", "[0]", "--output", run_copy)
    assert ran.code == 0, ran.text
    assert "ask-birds is no corpus" in ran.text
    assert "seed 0 is that of training itself" in ran.text
    assert weights(run_copy / "retrained-ask-birds" / "seed-0") == weights(run_copy / "model")


def test_without_chosen_examples_the_rest_stays(run_copy: Path, untrac: Any, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("0\n3\n")
    ran = untrac(
        *("retrain", "--forget", "birds", "--forget_examples", tmp_path / "ids.txt", "--seeds", "[0]"),
        *("--output", run_copy),
    )
    assert ran.code == 0, ran.text
    assert {"birds-chosen", "birds-rest"} <= set(losses(run_copy, "birds-chosen", 0))
    assert len((run_copy / "retrain-birds-chosen.examples.txt").read_text().split()) == 2


def test_what_is_wrong_is_said_at_once(untrac: Any, config: Any, tmp_path: Path) -> None:
    ran = untrac(
        *("retrain", "--config", config(), "--output", tmp_path / "out", "--forget", "cats", "--seeds", "[0,0]"),
        *("--measures", "losss"),
    )
    assert ran.code == 2
    for part in ("no dataset is named 'cats'", "repeats a seed", "losss", "no pretrain.json"):
        assert part in ran.text, ran.text
    assert not (tmp_path / "out" / "retrained-cats").exists()
