"""``unlearn`` ends by a rule: said in the terminal, in ``run.json`` and in the report, and checked before step 0."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.tables import read_summary


@pytest.fixture
def unlearn(untrac: Any, config: Any, settings: Any, text_files: dict[str, Path], tmp_path: Path) -> Any:
    """Unlearn ``birds`` in up to 6 steps, beside a holdout."""
    holdout = [{"name": "unseen", "path": str(text_files["ask-ships"])}]
    paths = {held: config(data={**settings["data"], "holdout": holdout if held else []}) for held in (True, False)}

    def run(*flags: Any, held: bool = True) -> Any:
        fixed = ("--forget", "birds", "--steps", "6", "--readings", "6", "--output", tmp_path / "out")
        fixed += ("--model.unlearning_objective.forget", "GradientAscent")
        ran = untrac("unlearn", "--config", paths[held], *fixed, *flags)
        return ran.code, re.sub(r"\s+", " ", ran.text)

    return run


def steps_of(folder: Path) -> set[int]:
    return {row["step"] for row in read_summary(folder).to_pylist() if row["step"] is not None}


def test_a_rule_that_is_met_is_said_everywhere(unlearn: Any, untrac: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code, text = unlearn("--stop_at_holdout", "false", "--stop_at", "loss/ask-birds>=0.1")
    assert code == 0, text
    assert "unlearn: stopped after 1 of 6 steps: ask-birds's loss" in text
    assert steps_of(folder) == {0, 1}
    ended = json.loads((folder / "run.json").read_text())["endings"]["unlearn-birds"]
    assert (ended["step"], ended["steps"]) == (1, 6)
    assert untrac("report", "--output", folder).code == 0
    assert "stopped after 1 of 6 steps" in (folder / "report.html").read_text()


def test_the_holdout_is_the_rule_where_there_is_one(unlearn: Any, tmp_path: Path) -> None:
    """The model was never trained, so that the forget set may stand at the holdout's level from the start."""
    code, text = unlearn()
    assert code == 0, text
    assert re.search(r"(stopped after \d of|no stopping rule was met in 6 of) 6 steps: birds's loss \S+ has", text)
    assert "the holdout's" in text


def test_without_a_rule_nothing_is_said(unlearn: Any, tmp_path: Path) -> None:
    code, text = unlearn(held=False)
    assert code == 0, text
    assert "stopping rule" not in text
    assert steps_of(tmp_path / "out") == set(range(7))


def test_a_rule_among_the_trainers_callbacks(unlearn: Any, tmp_path: Path) -> None:
    callback = {
        "class_path": "lightning_untrac.callbacks.StopAtMeasure",
        "init_args": {"measure": "loss", "at_least": 0.1},
    }
    code, text = unlearn("--trainer.callbacks", json.dumps([callback]), held=False)
    assert code == 0, text
    assert "stopped after 1 of 6 steps: birds's loss" in text


def test_what_is_wrong_with_rules_is_said_at_once(unlearn: Any, tmp_path: Path) -> None:
    code, text = unlearn(
        "--stop_at_holdout", "true", "--stop_at", "[loss/bird>=3, accuracy<=.3, loss]", "--stop_at_retained_rise", "-1",
        held=False,
    )  # fmt: skip
    assert code == 2
    for words in (
        "there is no holdout",
        "did you mean 'birds'?",
        "'accuracy' is not measured",
        "'loss' is no condition",
        "give nats per token that are not below 0",
    ):
        assert words in text
    assert not (tmp_path / "out" / ".untrac").exists()
