"""Recipes and configurations for the command line: tiny models, tiny corpora, one process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Ran, run_untrac

TINY_MODEL = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
STAGES: list[dict[str, Any]] = [
    {"pretrain": {"steps": 4}},
    {"trace": {"method": "untrac", "steps": 2, "readings": 2}},
    {"trace": {"method": "untrac_inv", "steps": 2}},
    {"leave-out": None},
    {"compare": {"num_resamples": 50}},
    {"report": None},
]


RAISING = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5", "--steps", "3")


@pytest.fixture(scope="session")
def untrac() -> Callable[..., Ran]:
    """Run a command in this process."""
    return run_untrac


@pytest.fixture(scope="session")
def settings(text_files: dict[str, Path], cache_folder: str) -> dict[str, Any]:
    """Data and Trainer of all these tests."""
    return {
        "data": {
            "corpora": [{"name": name, "path": str(text_files[name])} for name in ("birds", "ships", "bread")],
            "test_sets": [{"name": name, "path": str(text_files[name])} for name in ("ask-birds", "ask-ships")],
            "batch_size": 4,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
    }


@pytest.fixture
def config(tmp_path: Path, settings: dict[str, Any], model_folders: Callable[..., str]) -> Callable[..., Path]:
    """A verb's configuration file; keyword arguments replace its parts."""

    def write(**parts: Any) -> Path:
        path = tmp_path / f"config-{len(list(tmp_path.glob('config-*')))}.yaml"
        content = {"model": {"name_or_path": model_folders("llama")}, **settings, **parts}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture(scope="session")
def recipe_content(settings: dict[str, Any]) -> dict[str, Any]:
    """A recipe with every kind of step."""
    model = {"tokenizer": "byte", "config": TINY_MODEL}
    return {"title": "tiny", "model": model, **settings, "stages": STAGES}


@pytest.fixture
def recipe(tmp_path: Path, recipe_content: dict[str, Any]) -> Callable[..., Path]:
    """A recipe file; keyword arguments replace its parts."""

    def write(**parts: Any) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**recipe_content, **parts}))
        return path

    return write


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, recipe_content: dict[str, Any]) -> Path:
    """The output folder of the whole recipe, run once. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe_content))
    ran = run_untrac("run", folder / "recipe.yaml", "--output", folder / "run")
    assert ran.code == 0, ran.text
    return folder / "run"


@pytest.fixture(scope="session")
def judged_run(
    tmp_path_factory: pytest.TempPathFactory, finished_run: Path, untrac: Callable[..., Ran], recipe_content: Any
) -> Path:
    """A folder with two retrained models, an unlearned one, copies of the original and of a retrained one, judged."""
    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("judged") / "run"))
    config = folder.with_name("config.yaml")
    config.write_text(yaml.safe_dump({key: recipe_content[key] for key in ("data", "trainer")}))
    given = ("--config", config, "--forget", "birds", "--output", folder)
    for command in (("retrain",), ("unlearn", *RAISING)):
        ran = untrac(command[0], *given, *command[1:])
        assert ran.code == 0, ran.text
    shutil.copytree(folder / "model", folder / "unlearned-birds-not")
    shutil.copytree(folder / "retrained-birds" / "seed-1", folder / "unlearned-birds-wholly")
    shutil.copytree(folder / "model", folder / "unlearned-birds-chosen")  # of another forget set
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--wandb.mode", "offline")
    assert ran.code == 0, ran.text
    (folder.parent / "said.txt").write_text(ran.text)
    return folder


@pytest.fixture
def run_copy(tmp_path: Path, finished_run: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))
