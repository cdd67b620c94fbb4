"""AltPO on a model that is so sure of its answers that its draws are these."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import little_people
import yaml


def test_draws_that_are_all_the_right_answer_are_told(
    untrac: Any, people: little_people.LittlePeople, cache_folder: str, tmp_path: Path
) -> None:
    content = {
        "model": {"name_or_path": people.model},
        "data": {"forget": [people.entry("forget")], "corpora": [people.entry("far")], "cache_folder": cache_folder,
                 "append_eos": True},
        "trainer": {"accelerator": "cpu"},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    command = ("unlearn", "--config", tmp_path / "config.yaml", "--output", tmp_path / "out", "--forget", "forget")
    few = ("--model.unlearning_objective.forget.samples", 1)
    ran = untrac(*command, "--objective", "altpo", *few, "--steps", 1, "--predict", "false", "--readings", 1)
    assert ran.code == 0, ran.text
    said = r"forget: for [1-3] of 3 examples every draw of the model gave the answer that is to be forgotten"
    assert re.search(said, " ".join(ran.text.split()))
    other = untrac(*command, "--objective", "npo", "--steps", 1, "--predict", "false", "--name", "npo")
    assert "every draw" not in other.text
