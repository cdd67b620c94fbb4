"""A forget set by what a trace found: which corpus it is, what is said of it, and where nobody can know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.config.recipes import load_recipe, resolve_stages
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.runs.rehearsal import rehearse
from lightning_untrac.runs.strongest import strongest_of
from lightning_untrac.tables import InfluenceRow, InfluenceStore


def store(folder: Path, values: dict[str, float], method: str = "untrac", status: str = "ok") -> str:
    rows = [
        InfluenceRow(
            method=method, corpus=corpus, test_set="insults", seed=0, step=4, final=True, influence=value, status=status
        )
        for corpus, value in values.items()
    ]
    InfluenceStore(folder).append(rows)
    return str(folder)


def test_the_strongest_corpus_by_the_method_of_the_answers(tmp_path: Path) -> None:
    store(tmp_path, {"forum": 0.1, "news": 0.9}, "leave_out")
    output = store(tmp_path, {"forum": 0.39, "news": -0.5})
    name, said = strongest_of(output, "insults")
    assert name == "forum"
    assert said.startswith("strongest of insults: forum, +0.39")
    assert "(untrac)" in said


def test_a_tie_is_said(tmp_path: Path) -> None:
    name, said = strongest_of(store(tmp_path, {"forum": 0.25, "news": 0.25}), "insults")
    assert name == "forum"
    assert "news has the very same influence" in said


def test_what_chance_does_not_tell_apart_is_said(tmp_path: Path) -> None:
    values = {"forum": (0.4, 0.5, 0.6), "news": (0.45, 0.6, 0.42), "code": (0.0, 0.01, -0.01)}
    InfluenceStore(tmp_path).append(
        InfluenceRow(method="untrac", corpus=corpus, test_set="insults", seed=seed, step=4, final=True, influence=value)
        for corpus, its in values.items()
        for seed, value in enumerate(its)
    )
    name, said = strongest_of(str(tmp_path), "insults")
    assert name == "forum"
    assert said.endswith("; chance does not tell it from news")


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ({"forum": -0.1, "news": -0.2}, "ok", "no corpus helps the model with it"),
        ({"forum": 0.1, "news": 0.2}, "collapsed", "there is no verdict, because .* collapse"),
        ({}, "ok", "holds no influences on it; run `untrac trace`"),
    ],
)
def test_without_a_verdict_nothing_is_chosen(tmp_path: Path, values: Any, status: str, said: str) -> None:
    output = store(tmp_path, values, status=status) if values else str(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        strongest_of(output, "insults")


def problems(recipe: dict[str, Any], folder: Path) -> list[str]:
    return rehearse(resolve_stages(recipe, ["--trainer.accelerator", "cpu"]), str(folder / "out"))


def test_a_recipe_is_checked_before_the_name_is_known(tmp_path: Path) -> None:
    recipe = load_recipe("trace_then_unlearn")
    recipe["data"]["cache_folder"] = str(tmp_path / "cache")
    stages = recipe["stages"]
    # An explicit name is no second stage of the one that is yet to be found, and what else is wrong is said.
    recipe["stages"] = [*stages[:3], {"unlearn": {"forget": "encyclopedia", "name": "default", "steps": 3}}]
    assert problems(recipe, tmp_path) == []
    recipe["stages"] = [*stages[:2], {"unlearn": {"forget": "strongest of toxicty", "readings": 0}}]
    unknown, readings = problems(recipe, tmp_path)
    assert "stage 3 (unlearn): forget: strongest of toxicty: there is no such test set; did you mean 'tox" in unknown
    assert "readings" in readings
    recipe["stages"] = [stages[0], {"unlearn": {"forget": "strongest of toxicity"}}]
    (untraced,) = problems(recipe, tmp_path)
    assert "stage 2 (unlearn): forget: strongest of toxicity" in untraced
    assert "holds no influences on it; run `untrac trace`" in untraced
    recipe["stages"] = [*stages[:3], {"unlearn": {"forget": "strongest of toxicity", "name": "default", "steps": 3}}]
    (twice,) = problems(recipe, tmp_path)
    assert "writes the results of" in twice
