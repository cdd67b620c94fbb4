"""Several unlearnings of one forget set in one folder, each under a name of its own."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from lightning_untrac.runs.run_folder import stages
from lightning_untrac.tables import equal_tables, read_measurements, read_summary

GENTLE = ("--model.unlearning_objective.forget", "NPO", "--model.unlearning_objective.retain+", "RetainLoss")


@pytest.fixture
def unlearn(untrac: Any, config: Any, tmp_path: Any) -> Any:
    """Unlearn ``birds`` in ``out``."""
    path = config()

    def run(*flags: Any, output: str = "out") -> Any:
        fixed = ("--forget", "birds", "--steps", "2", "--readings", "1", "--measures", "loss")
        ascent = () if "NPO" in flags else ("--model.unlearning_objective.forget", "GradientAscent")
        return untrac("unlearn", "--config", path, "--output", tmp_path / output, *fixed, *ascent, *flags)

    return run


def test_named_runs_stand_beside_each_other_and_leave_each_others_results(
    unlearn: Any, untrac: Any, tmp_path: Any
) -> None:
    folder = tmp_path / "out"
    assert unlearn().code == 0
    alone = read_summary(folder), read_measurements(folder)
    assert unlearn("--name", "npo", *GENTLE).code == 0
    assert unlearn("--name", "again", "--seed", "1").code == 0
    assert stages(folder) == {"unlearn-birds": True, "unlearn-birds-again": True, "unlearn-birds-npo": True}
    models = [folder / f"unlearned-birds{name}" for name in ("", "-npo", "-again")]
    assert len({(model / "model.safetensors").read_bytes() for model in models}) == 3
    methods = ["unlearn:GradientAscent", "unlearn:GradientAscent [again]", "unlearn:NPO + RetainLoss [npo]"]
    for before, read in zip(alone, (read_summary, read_measurements), strict=True):
        table = read(folder)
        assert sorted(set(table["method"].to_pylist())) == methods
        import pyarrow.compute as pc

        assert equal_tables(table.filter(pc.equal(table["method"], methods[0])), before)
    assert "finished already" in unlearn("--name", "npo", *GENTLE).text
    assert untrac("report", "--output", folder).code == 0
    page = (folder / "report.html").read_text()
    (table,) = re.findall(r"Beside each other</h2>(.*?)</table>", page, flags=re.DOTALL)
    for title in ("Unlearning by GradientAscent, seed 0", "GradientAscent [again], seed 1", "RetainLoss [npo], seed 0"):
        assert title in table


def test_to_overwrite_one_leaves_the_others(unlearn: Any, tmp_path: Any) -> None:
    folder = tmp_path / "out"
    for flags in ((), ("--name", "npo", *GENTLE), ("--name", "again", "--seed", "1")):
        assert unlearn(*flags).code == 0
    other = unlearn("--name", "npo", *GENTLE, "--seed", "3")
    assert other.code == 2
    assert "give this run a name of its own (--name NAME)" in other.text
    assert "seed: 0 there, 3 now" in re.sub(r"\s+", " ", other.text)
    rows = {method: read_summary(folder)["method"].to_pylist().count(method) for method in methods_of(folder)}
    assert unlearn("--seed", "2", "--overwrite", "true").code == 0
    assert {method: read_summary(folder)["method"].to_pylist().count(method) for method in methods_of(folder)} == rows
    seeds = {row["method"]: row["seed"] for row in read_summary(folder).to_pylist()}
    assert seeds == {
        "unlearn:GradientAscent": 2, "unlearn:GradientAscent [again]": 1, "unlearn:NPO + RetainLoss [npo]": 0
    }  # fmt: skip


def methods_of(folder: Any) -> set[str]:
    return set(read_summary(folder)["method"].to_pylist())


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(unlearn: Any, tmp_path: Any, name: str) -> None:
    ran = unlearn("--name", name)
    assert ran.code == 2
    assert "name:" in ran.text
    assert not (tmp_path / "out" / ".untrac").exists()


def test_a_recipe_tells_them_apart(untrac: Any, recipe: Any, tmp_path: Any) -> None:
    steps = [
        {"unlearn": {"forget": "birds", "steps": 1, "readings": 1}},
        {"unlearn": {"forget": "birds", "steps": 1, "readings": 1, "name": "long"}},
    ]
    path = recipe(stages=steps)
    printed = untrac("run", path, "--output", tmp_path / "out", "--unlearn-long.steps", "3", "--print_recipe")
    assert [stage["unlearn"]["steps"] for stage in yaml.safe_load(printed.text)["stages"]] == [1, 3]
    steps[1]["unlearn"]["name"], steps[1]["unlearn"]["seed"] = None, 1  # type: ignore[index]
    refused = untrac("run", recipe(stages=steps), "--output", tmp_path / "out")
    assert refused.code == 2
    assert "give each a `name`" in refused.text
