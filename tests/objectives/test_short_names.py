"""``--objective npo --retain kl``: the same run as the long form, in flags, in files and in recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_untrac import objectives
from lightning_untrac.cli import main
from lightning_untrac.objectives import ForgetTerm, RetainTerm
from lightning_untrac.objectives.terms import FORGET_TERMS, RETAIN_TERMS
from lightning_untrac.verbs import unlearn

LONG = [
    ["--model.unlearning_objective.forget", "NPO", "--model.unlearning_objective.retain+", "RetainKL"],
    ["--model.unlearning_objective.retain.weight", "5"],
]


def read(*arguments: Any) -> tuple[Any, list[str]]:
    """The objective, and the problems, of a command line of ``unlearn``."""
    parsed = unlearn.arguments(["--output=x", "--forget=a", "--model.name_or_path=gpt2", *arguments])
    resolved = parsed.resolved()
    assert all(resolved[name] is None for name in ("objective", "retain", "retain_weight"))
    return resolved["model"]["init_args"]["unlearning_objective"], parsed.problems


def test_every_term_that_ships_has_a_name_of_its_own() -> None:
    for base, registry in ((ForgetTerm, FORGET_TERMS), (RetainTerm, RETAIN_TERMS)):
        kinds = [getattr(objectives, name) for name in objectives.__all__]
        shipped = {one for one in kinds if isinstance(one, type) and issubclass(one, base) and one is not base}
        assert shipped <= set(registry.values())


def test_the_docs_name_them_all() -> None:
    text = (Path(__file__).parents[2] / "docs" / "unlearning.md").read_text()
    shipped = [n for registry in (FORGET_TERMS, RETAIN_TERMS) for n, cls in registry.items()
               if cls.__module__.startswith("lightning_untrac")]  # fmt: skip
    assert [name for name in shipped if name != "descent" and f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    "short",
    [
        ["--objective", "npo", "--retain", "kl", "--retain_weight", "5"],
        ["--retain=RetainKL", "--objective=NPO", "--retain_weight=5"],
        [{"objective": "npo", "retain": ["kl"], "retain_weight": [5]}],
        [{"objective": "wga", "retain": "kl"}, "--objective", "npo", "--retain_weight", "5"],
        [{"model": {"unlearning_objective": "WGA"}}, "--objective", "npo", "--retain", "kl", "--retain_weight", "5"],
        [{"model": {"unlearning_objective": {"retain": ["RetainKL"]}}, "objective": "npo"},
         "--model.unlearning_objective.retain.weight", "5"],
    ],
    ids=["flags", "classes", "file", "file and flags", "over a file's", "beside a file's"],
)  # fmt: skip
def test_the_short_form_is_the_long_one(short: list[Any]) -> None:
    expected = read(*LONG[0], *LONG[1])
    assert expected[0]["forget"]["class_path"] == "lightning_untrac.objectives.NPO"
    assert read(*short) == expected
    assert expected[1] == []


def test_settings_of_a_term_go_with_its_short_name() -> None:
    found, problems = read("--objective", "simnpo", "--retain", "kl,loss", "--retain_weight", "1,.5",
                           "--model.unlearning_objective.forget.beta", "2.5")  # fmt: skip
    assert problems == []
    assert found["forget"]["init_args"]["beta"] == 2.5
    assert [one["init_args"]["weight"] for one in found["retain"]] == [1.0, 0.5]
    assert read("--objective", "terms.SequenceTerm")[0]["forget"]["class_path"] == "terms.SequenceTerm"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--objective", "npoo"], "objective: 'npoo' is unknown; did you mean 'npo'? use one of altpo, bad_teacher,"),
        (["--retain", "kll"], "retain: 'kll' is unknown; did you mean 'kl'? use one of ap,"),
        (["--objective", "npo,wga"], "objective: got 'npo,wga'; give the name of one forget term"),
        (["--retain_weight", "2"], "retain_weight: weighs what `retain` names, and nothing is named"),
        (["--retain", "kl", "--retain_weight", "1,2"], "retain_weight: 2 given for 1 of `retain`; give one for each"),
        (["--retain", "kl", "--retain_weight", "much"], "retain_weight: got 'much'; give a number"),
        ([{"objective": "npo", "model": {"unlearning_objective": "WGA"}}], "forget is given too; leave one of the two"),
    ],
)
def test_what_is_wrong_is_told(given: list[Any], said: str) -> None:
    (problem,) = read(*given)[1]
    assert said in problem


@pytest.fixture
def recipe(tmp_path: Path, text_files: dict[str, Path], cache_folder: str, model_folders: Any) -> Any:
    def write(corpora: tuple[str, ...] = ("birds", "ships"), **stage: Any) -> str:
        data = {"corpora": [{"name": n, "path": str(text_files[n])} for n in corpora], "cache_folder": cache_folder}
        stage = {"forget": "birds", "steps": 2, "readings": 1, **stage}
        content = {
            "model": {"name_or_path": model_folders()}, "data": data, "trainer": {"accelerator": "cpu"},
            "stages": [{"unlearn": stage}],
        }  # fmt: skip
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def test_a_recipe_takes_short_names_and_they_are_what_makes_the_run(recipe: Any, tmp_path: Path, capfd: Any) -> None:
    output = ["--output", str(tmp_path / "out")]
    assert main(["run", recipe(objective="npo", retain="kl", retain_weight=5), *output]) == 0
    long = {"forget": "NPO", "retain": [{"class_path": "RetainKL", "init_args": {"weight": 5}}]}
    capfd.readouterr()
    assert main(["run", recipe(model={"unlearning_objective": long}), *output]) == 0
    assert "finished already" in "".join(capfd.readouterr())
    assert main(["run", recipe(objective="npo", retain="kl", retain_weight=4), *output]) == 2
    assert "weight" in capfd.readouterr().err


def test_everything_is_wrong_at_once(recipe: Any, tmp_path: Path, capfd: Any) -> None:
    path = recipe(("birds",), objective="rmuu", retain="kl", readings="x", steps=0)
    assert main(["run", path, "--output", str(tmp_path / "out")]) == 2
    said = capfd.readouterr().err
    for part in ("did you mean 'rmu'", "readings: got 'x'", "steps: 0", "there is no corpus to retain"):
        assert part in said
    wrong = recipe(
        ("birds",), model={"unlearning_objective": {"forget": {"class_path": "RMU", "init_args": {"layer": 9}}}}
    )
    assert main(["run", wrong, "--output", str(tmp_path / "out"), "--unlearn.retain", "ap"]) == 2
    said = capfd.readouterr().err
    assert "RMU(layer=9) reads a layer that the model has not" in said
    assert "there is no corpus to retain" in said
