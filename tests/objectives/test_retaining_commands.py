"""Retained data from the command line: what is refused, and a run for good that goes on from its checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_untrac.cli import main
from lightning_untrac.tables import InfluenceStore


@pytest.fixture
def config(tmp_path: Path, text_files: dict[str, Path], cache_folder: str, model_folders: Any) -> Any:
    """A configuration file with some corpora."""

    def write(corpora: tuple[str, ...] = ("birds", "ships", "bread")) -> Path:
        def named(names: tuple[str, ...]) -> list[dict[str, str]]:
            return [{"name": name, "path": str(text_files[name])} for name in names]

        data = {"corpora": named(corpora), "test_sets": named(("ask-birds",)), "cache_folder": cache_folder}
        optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
        model = {"name_or_path": model_folders(), "optimizer": optimizer}
        path = tmp_path / "config.yaml"
        path.write_text(
            yaml.safe_dump({"model": model, "data": {**data, "batch_size": 2}, "trainer": {"accelerator": "cpu"}})
        )
        return path

    return write


def untrac(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


OBJECTIVES = [
    ["--model.unlearning_objective.retain+", "RetainLoss"],
    ["--model.unlearning_objective.retain", '[{"class_path": "RetainKL", "init_args": {"weight": 2}}]'],
    ["--model.unlearning_objective.anchor", "FisherAnchor", "--model.unlearning_objective.anchor.weight", "100"],
    ["--model.unlearning_objective", "{retain: [RetainLoss], rectify: GRU}"],
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["retain loss", "kl", "anchor", "gru"])
def test_a_run_for_good_goes_on_from_its_checkpoint_to_the_same_weights(
    objective: list[str], config: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = ["unlearn", "--config", config(), "--output", output, "--forget", "birds", "--steps", 5, "--readings", 1]
    command += [*objective, "--checkpoint_every", 2, "--keep_checkpoints", "true"]
    assert untrac(*command) == 0
    folder = output / "unlearned-birds"
    weights = (folder / "model.safetensors").read_bytes()
    (output / ".untrac" / "unlearn-birds.done.json").unlink()
    shutil.rmtree(folder)
    checkpoints = output / "checkpoints" / "unlearn-birds"
    assert {path.name for path in checkpoints.iterdir()} == {"step=2.ckpt", "step=4.ckpt"}
    (checkpoints / "step=4.ckpt").unlink()
    assert untrac(*command) == 0
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["retain loss", "kl", "anchor", "gru"])
def test_a_single_corpus_has_nothing_beside_it(objective: list[str], config: Any, tmp_path: Path, capfd: Any) -> None:
    command = ["--config", config(("birds",)), "--steps", 1, *objective]
    assert untrac("trace", *command, "--output", tmp_path / "out", "--method", "untrac") == 2
    assert "beside 'birds' there is no corpus to retain; name at least one more" in capfd.readouterr().err
    assert untrac("trace", *command, "--output", tmp_path / "inv", "--method", "untrac_inv") == 0
    rows = InfluenceStore(tmp_path / "inv").rows()
    assert {(row.corpus, row.test_set) for row in rows} == {("birds", "ask-birds")}
    assert {row.status for row in rows} <= {"ok", "broken"}  # an untrained model stands at a uniform guess


def test_what_is_retained_is_a_part_of_what_was_asked(config: Any, tmp_path: Path, capfd: Any) -> None:
    command = ["trace", "--method", "untrac", "--config", config(), "--steps", 1, "--output", tmp_path / "out"]
    command += ["--model.unlearning_objective", "{retain: [RetainLoss]}"]
    assert untrac(*command) == 0
    assert untrac(*command) == 0
    assert "finished already" in capfd.readouterr().out
    assert untrac(*command, "--data.retained_per_example", 2) == 2
    assert "data.retained_per_example" in capfd.readouterr().err
    heavier = "{retain: [{class_path: RetainLoss, init_args: {weight: 2}}]}"
    assert untrac(*command[:-1], heavier) == 2
    assert "weight" in capfd.readouterr().err


def test_an_anchor_without_a_strength_is_asked_for_one(config: Any, tmp_path: Path, capfd: Any) -> None:
    command = ["trace", "--method", "untrac", "--config", config(), "--steps", 1, "--output", tmp_path / "out"]
    assert untrac(*command, "--model.unlearning_objective.anchor", "FisherAnchor") == 2
    assert "weight" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("AscentWithKL", "AscentWithKL is a setting now: {forget: GradientAscent, retain: [{class_path: RetainKL"),
        ("lightning_untrac.objectives.AscentWithRetainLoss", "retain: [{class_path: RetainLoss"),
        ("FisherAnchoredAscent", "anchor: {class_path: FisherAnchor"),
    ],
)
def test_a_class_of_an_earlier_version_is_answered_with_its_setting(
    given: str, answer: str, config: Any, tmp_path: Path, capfd: Any
) -> None:
    command = ["trace", "--method", "untrac", "--config", config(), "--steps", 1, "--output", tmp_path / "out"]
    assert untrac(*command, "--model.unlearning_objective", given) == 2
    assert answer in capfd.readouterr().err


def test_a_module_that_has_moved_is_named(config: Any, tmp_path: Path, capfd: Any) -> None:
    command = ["trace", "--method", "untrac", "--config", config(), "--steps", 1, "--output", tmp_path / "out"]
    assert untrac(*command, "--model.optimizer", "lightning_untrac.modules.preconditioned.FrozenAdam") == 2
    assert "lightning_untrac.modules.preconditioned is lightning_untrac.attribution.preconditioned now" in (
        capfd.readouterr().err
    )


def test_the_log_says_how_the_model_before_unlearning_is_asked(config: Any, tmp_path: Path, capfd: Any) -> None:
    command = ["unlearn", "--config", config(), "--steps", 1, "--readings", 1, "--forget", "birds"]
    assert untrac(*command, "--output", tmp_path / "plain") == 0
    assert "the model before unlearning" not in capfd.readouterr().out
    objective = ["--model.unlearning_objective", "{forget: NPO, retain: [RetainKL]}"]
    assert untrac(*command, *objective, "--output", tmp_path / "held") == 0
    said = "".join(capfd.readouterr())
    assert "stands by: its weights, swapped in and out; the log-probability of each sequence, computed once" in said
    assert untrac(*command, *objective, "--model.lora", "{r: 2}", "--output", tmp_path / "lora") == 0
    assert "stands by: the model with its adapters switched off" in "".join(capfd.readouterr())


@pytest.mark.parametrize("flag", ["--model.unlearning_objective", "--model.unlearning_objective.forget"])
def test_a_forget_term_alone_is_enough(flag: str, config: Any, tmp_path: Path) -> None:
    command = ["trace", "--method", "untrac", "--config", config(), "--steps", 2, "--output", tmp_path / "out"]
    assert untrac(*command, flag, "ClampedAscent", f"{flag}.cap", "6") == 0
    assert "ClampedAscent" in (tmp_path / "out" / "notes.json").read_text()
