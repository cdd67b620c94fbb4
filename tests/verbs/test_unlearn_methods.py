"""``untrac unlearn --method``: what is saved, what is measured, and what can't be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lightning_untrac.forgetting.negated_vector import NegatedTaskVector
from lightning_untrac.tables import read_summary

STEPS = ("--steps", 3, "--readings", 3)
LORA = "{r: 2, target_modules: [q_proj, v_proj]}"


def losses(folder: Path, model: Path, step: int | None) -> dict[str, float]:
    """Mean losses by dataset."""
    rows = [row for row in read_summary(folder).to_pylist() if row["model"] == str(model) and row["step"] == step]
    return {row["dataset"]: row["value"] for row in rows if (row["measure"], row["statistic"]) == ("loss", "mean")}


def test_the_vector_of_descent_is_taken_away_and_measured(run_copy: Path, untrac: Any, config: Any) -> None:
    birds = ("unlearn", "--forget", "birds", *STEPS, "--output", run_copy)
    for name, flags in (("tuned", ("--objective", "descent")), ("away", ("--method", "task_vector"))):
        given = ("--method.coefficient", 1.5) if name == "away" else ()
        ran = untrac(*birds, "--name", name, *flags, *given)
        assert ran.code == 0, ran.text
    start, tuned, away = (
        load_file(run_copy / folder / "model.safetensors")
        for folder in ("model", "unlearned-birds-tuned", "unlearned-birds-away")
    )
    assert start.keys() == tuned.keys() == away.keys()
    for name, weights in start.items():
        assert not torch.equal(weights, tuned[name])
        torch.testing.assert_close(away[name], 2.5 * weights - 1.5 * tuned[name], rtol=0, atol=1e-6)

    model = run_copy / "unlearned-birds-away"
    ran = untrac("evaluate", "--config", config(model={}), "--model.name_or_path", model, "--output", run_copy)
    assert ran.code == 0, ran.text
    measured, saved = losses(run_copy, model, 3), losses(run_copy, model, None)
    assert {name: saved[name] for name in measured} == pytest.approx(measured, rel=1e-6)
    assert "unlearn:TaskVector [away]" in {row["method"] for row in read_summary(run_copy).to_pylist()}
    assert "TaskVector" in (model / "README.md").read_text()


def test_of_two_factors_the_second_changes_its_sign(run_copy: Path, untrac: Any) -> None:
    pytest.importorskip("peft")
    birds = ("unlearn", "--forget", "birds", *STEPS, "--model.lora", LORA, "--output", run_copy)
    for name, flags in (
        ("tuned", ("--objective", "descent")),
        ("away", ("--method", "task_vector", "--method.coefficient", 2)),
    ):
        ran = untrac(*birds, "--name", name, *flags)
        assert ran.code == 0, ran.text
    tuned, away = (
        load_file(run_copy / f"unlearned-birds-{name}" / "adapter_model.safetensors") for name in ("tuned", "away")
    )
    for name, weights in tuned.items():
        torch.testing.assert_close(away[name], weights if "lora_A" in name else -2 * weights)
        assert weights.abs().max() > 0


def test_a_run_that_is_cut_inside_a_reading_goes_on(
    run_copy: Path, untrac: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("unlearn", "--forget", "birds", "--steps", 4, "--readings", 4, "--method", "task_vector")
    command += ("--checkpoint_every", 1, "--output", run_copy)
    ends = NegatedTaskVector.on_validation_end
    seen: list[int] = []

    def cut(self: NegatedTaskVector, trainer: Any, pl_module: Any) -> None:
        seen.append(trainer.global_step)
        if len(seen) == 4:  # the first one is the sanity check
            raise RuntimeError("cut here")
        ends(self, trainer, pl_module)

    with monkeypatch.context() as patched:
        patched.setattr(NegatedTaskVector, "on_validation_end", cut)
        with pytest.raises(RuntimeError, match="cut here"):
            untrac(*command)
    model = run_copy / "unlearned-birds"
    assert seen[-1] == 3
    assert not model.exists()
    ran = untrac(*command)
    assert ran.code == 0, ran.text
    assert "step 1 of 4" not in ran.text
    weights, rows = load_file(model / "model.safetensors"), losses(run_copy, model, 4)
    ran = untrac(*command, "--name", "whole")
    assert ran.code == 0, ran.text
    whole = load_file(run_copy / "unlearned-birds-whole" / "model.safetensors")
    assert all(torch.equal(weights[name], whole[name]) for name in whole)
    assert rows == losses(run_copy, run_copy / "unlearned-birds-whole", 4)


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (("--method", "task_vecto"), ("method: 'task_vecto' is unknown; did you mean 'task_vector'?",)),
        (("--method.coefficient", 2), ("method.coefficient: belongs to a method, and none is named",)),
        (
            (
                *("--method", "task_vector", "--method.coefficient=-1", "--method.kl=1", "--objective", "npo"),
                *("--heal_steps", 3, "--until_rise", 0.5),
            ),
            (
                "method.kl: unknown key; there are coefficient, level, retained_rise, stop",
                "method.coefficient: -1.0; give 1, for it is taken away",
                "method: task_vector decides what a step minimises, and an objective",
                "heal_steps: belongs to an objective",
                "until_rise: belongs to an objective",
            ),
        ),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(
    run_copy: Path, untrac: Any, flags: tuple[Any, ...], sentences: tuple[str, ...]
) -> None:
    ran = untrac("unlearn", "--forget", "birds", *flags, "--output", run_copy)
    assert ran.code != 0
    text = " ".join(ran.text.split())
    assert all(sentence in text for sentence in sentences), ran.text
    assert not (run_copy / "unlearned-birds").exists()


def test_a_choice_needs_data_that_stay(config: Any, settings: Any, untrac: Any, tmp_path: Path) -> None:
    data = {**settings["data"], "corpora": settings["data"]["corpora"][:1]}
    command = ("unlearn", "--config", config(data=data), "--forget", "birds", "--method", "task_vector")
    ran = untrac(*command, "--output", tmp_path / "out")
    assert ran.code != 0
    assert "needs retained data" in " ".join(ran.text.split())
    assert not (tmp_path / "out" / "unlearned-birds").exists()
    ran = untrac(*command, "--method.coefficient", 1, "--steps", 1, "--output", tmp_path / "out")
    assert ran.code == 0, ran.text


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.GradScaler:FutureWarning")  # kronfluence 1.0 (2026-11)
def test_gauss_newton_steps_keep_to_their_budget(run_copy: Path, untrac: Any) -> None:
    pytest.importorskip("kronfluence")
    ran = untrac(
        *("unlearn", "--forget", "birds", "--steps", 2, "--readings", 2, "--method", "kfade"),
        *("--method.budget", 0.01, "--output", run_copy),
    )
    assert ran.code == 0, ran.text
    said = " ".join(ran.text.split()).rpartition("a divergence of ")[2].partition(" ")[0]
    assert 0 < float(said) <= 0.01
    start, after = (load_file(run_copy / name / "model.safetensors") for name in ("model", "unlearned-birds"))
    moved = {name for name in start if not torch.equal(start[name], after[name])}
    assert moved
    assert all("proj" in name for name in moved)
    assert losses(run_copy, run_copy / "unlearned-birds", 2)["birds"] > losses(run_copy, run_copy / "model", 0)["birds"]


def test_a_missing_package_is_named(run_copy: Path, untrac: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kronfluence", None)
    ran = untrac("unlearn", "--forget", "birds", "--method", "kfade", "--method.budget=-1", "--output", run_copy)
    text = " ".join(ran.text.split())
    assert "needs the package kronfluence" in text
    assert "lightning-untrac[influence]" in text
    assert "method.budget: -1.0; give" in text
