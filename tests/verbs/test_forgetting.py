"""How ``untrac unlearn`` goes about it where the user leaves it to us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.tables import read_summary


def last_losses(folder: Path, model: str) -> dict[str, float]:
    """Mean losses at the last reading of an unlearning run, by dataset."""
    rows = [row for row in read_summary(folder).to_pylist() if row["model"] == str(folder / model) and row["step"]]
    rows = [row for row in rows if row["measure"] == "loss" and row["statistic"] == "mean"]
    last = max(row["step"] for row in rows)
    return {row["dataset"]: row["value"] for row in rows if row["step"] == last}


def test_by_default_it_forgets_and_heals_and_says_so(run_copy: Path, untrac: Any) -> None:
    ran = untrac("unlearn", "--forget", "birds", "--heal_steps", 5, "--output", run_copy)
    assert ran.code == 0, ran.text
    assert "objective GradientAscent + 3 RetainLoss, learning rate 0.004 (a model 16 wide)" in ran.text
    assert "then healed for 5 steps" in ran.text
    healed = last_losses(run_copy, "unlearned-birds")

    ran = untrac("unlearn", "--forget", "birds", "--heal_steps", 0, "--name", "bare", "--output", run_copy)
    assert ran.code == 0, ran.text
    assert "healed" not in ran.text
    bare = last_losses(run_copy, "unlearned-birds-bare")
    assert healed["ships"] < bare["ships"]


def test_a_rule_ends_forgetting_and_healing_follows(run_copy: Path, untrac: Any) -> None:
    ran = untrac(
        *("unlearn", "--forget", "birds", "--heal_steps", 3, "--readings", "[1, 2, 3]", "--stop_at", "loss>=0.1"),
        *("--output", run_copy),
    )
    assert ran.code == 0, ran.text
    text = " ".join(ran.text.split())
    assert "stopped after 1 of " in text
    assert "then healed for 3 steps" in text


def test_a_named_objective_is_that_objective(run_copy: Path, untrac: Any) -> None:
    ran = untrac("unlearn", "--forget", "birds", "--objective", "ga", "--steps", 2, "--output", run_copy)
    assert ran.code == 0, ran.text
    assert "healed" not in ran.text
    assert "unlearn:GradientAscent" in {row["method"] for row in read_summary(run_copy).to_pylist()}


@pytest.mark.parametrize(
    ("flags", "sentences"),
    [
        (("--heal_steps", -1, "--until_rise", 1.5), ("heal_steps: -1; give", "until_rise: 1.5; give")),
        (("--objective", "npo", "--heal_steps", 3), ("heal_steps: NPO has no retain term to heal with",)),
    ],
)
def test_what_cannot_be_is_said_before_the_first_step(
    run_copy: Path, untrac: Any, flags: tuple[Any, ...], sentences: tuple[str, ...]
) -> None:
    ran = untrac("unlearn", "--forget", "birds", *flags, "--output", run_copy)
    assert ran.code != 0
    assert all(sentence in ran.text for sentence in sentences), ran.text
    assert not (run_copy / "unlearned-birds").exists()
