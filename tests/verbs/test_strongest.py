"""Forget what a trace of the folder found: unlearn, retrain and judge, named by a test set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lightning_untrac.runs.strongest import strongest_of

STEPS = ("--steps", "2", "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1", "--readings", "1")


def test_the_loop_is_closed(run_copy: Path, untrac: Callable[..., Any], recipe_content: Any) -> None:
    name, said = strongest_of(str(run_copy), "ask-birds")
    given = ("--forget", "strongest of ask-birds", "--output", run_copy)
    ran = untrac("unlearn", *given, *STEPS)
    assert ran.code == 0, ran.text
    assert said in ran.text
    assert (run_copy / f"unlearned-{name}").is_dir()
    assert yaml.safe_load((run_copy / f"unlearn-{name}.yaml").read_text())["forget"] == name
    notes = [note["text"] for note in json.loads((run_copy / "notes.json").read_text())]
    assert f"unlearn-{name}: {said}" in notes
    # The name itself is the same run.
    again = untrac("unlearn", "--forget", name, "--output", run_copy, *STEPS)
    assert again.code == 0, again.text
    assert "finished already" in again.text
    for verb, *flags in (("retrain", "--seeds", "[0]"), ("judge",)):
        ran = untrac(verb, *given, *flags)
        assert ran.code == 0, ran.text
        assert said in ran.text
    assert (run_copy / f"retrained-{name}").is_dir()


def test_an_unknown_test_set_is_said_with_all_else(run_copy: Path, untrac: Callable[..., Any]) -> None:
    ran = untrac("unlearn", "--forget", "strongest of ask-bird", "--output", run_copy, "--collapse_cap", "-1")
    assert ran.code == 2
    assert "strongest of ask-bird: there is no such test set; did you mean 'ask-birds'?" in ran.text
    assert "collapse_cap" in ran.text
