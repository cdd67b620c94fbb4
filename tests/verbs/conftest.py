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
TINY_BERT = {
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
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


@pytest.fixture(scope="session")
def class_content(cache_folder: str) -> dict[str, Any]:
    """Model, data and Trainer of a tiny classifier."""
    sizes = {"rest": 240, "forget": 48, "test": 64}
    parts = {name: {"name": name, "path": f"builtin:topics/{name}", "num_examples": n} for name, n in sizes.items()}
    return {
        "model": {
            "tokenizer": "words",
            "labels": ["garden", "harbour", "kitchen", "weather"],
            "config": TINY_BERT,
            "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.005}},
        },
        "data": {
            "corpora": [parts["rest"], parts["forget"]],
            "test_sets": [parts["test"]],
            "batch_size": 32,
            "corpus_eval_examples": 120,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
    }


@pytest.fixture(scope="session")
def classified(tmp_path_factory: pytest.TempPathFactory, class_content: dict[str, Any]) -> Path:
    """A folder with a trained classifier, retrained ones, an unlearned one, and their judgement."""
    folder = tmp_path_factory.mktemp("classified")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(class_content))
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump({key: class_content[key] for key in ("data", "trainer")}))
    output = folder / "run"
    ran = run_untrac("pretrain", "--config", config, "--output", output, "--trainer.max_epochs", "12")
    assert ran.code == 0, ran.text
    assert "no head for its classes" not in ran.text  # it has one, from scratch
    given = ("--config", data, "--output", output)
    ascent = ("--objective", "ga", "--retain", "loss", "--passes", "2", "--readings", "1", "--collapse_cap", "20")
    ascent += ("--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", "0.002")
    for command in (("retrain", "--forget", "forget"), ("unlearn", "--forget", "forget", *ascent)):
        ran = run_untrac(*command, *given)
        assert ran.code == 0, ran.text
    ran = run_untrac("judge", "--forget", "forget", *given)
    assert ran.code == 0, ran.text
    (folder / "judged.txt").write_text(ran.text)
    return output
