"""Trainer flags whose effect is files, at the command line, on every verb (the rest: test_trainer_flags.py)."""

from __future__ import annotations

import shutil

import pytest

from lightning_untrac.tables import InfluenceStore

FLAGS = {
    "csv": ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "{}/logs"],
    "tensorboard": [
        *("--trainer.logger", "lightning.pytorch.loggers.TensorBoardLogger"),
        *("--trainer.logger.save_dir", "{}/logs"),
    ],
    "precision": ["--trainer.precision", "bf16-mixed"],
    "fast_dev_run": ["--trainer.fast_dev_run", "true"],
}
VERBS = ("pretrain", "trace", "trace-inv", "leave-out", "unlearn", "evaluate")


@pytest.fixture
def command(config, recipe_content, tmp_path, finished_run):
    """A short command of each verb, and its output folder."""

    def make(verb):
        output = tmp_path / "out"
        if verb == "pretrain":
            return ["pretrain", "--config", config(model=recipe_content["model"]), "--steps", "2"], output
        if verb == "leave-out":
            start = {"name_or_path": str(finished_run / "initial_model")}
            trained = ["--trained_model", str(finished_run / "model"), "--steps", "2"]
            return ["leave-out", "--config", config(model=start), *trained], output
        extra = {
            "trace": ["--steps", "2", "--method", "untrac"],
            "trace-inv": ["--steps", "2", "--method", "untrac_inv", "--examples"],
            "unlearn": ["--steps", "2", "--forget", "birds"],
            "evaluate": ["--examples"],
        }[verb]
        return [verb.removesuffix("-inv"), "--config", config(), *extra], output

    return make


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FLAGS)
def test_flags(untrac, command, tmp_path, verb, name):
    arguments, output = command(verb)
    ran = untrac(*arguments, "--output", output, *(flag.format(tmp_path) for flag in FLAGS[name]))
    assert ran.code == 0, ran.text
    if name == "fast_dev_run":
        assert not output.exists()
    elif verb in ("trace", "trace-inv", "leave-out"):
        table = InfluenceStore(output).table()
        assert sum(table["final"].to_pylist()) == 3 * 2
    if name in ("csv", "tensorboard") and verb != "evaluate":
        assert any((tmp_path / "logs").rglob("metrics.csv" if name == "csv" else "events.out.*"))
    shutil.rmtree(output, ignore_errors=True)


def test_the_csv_logger_has_the_curves(untrac, command):
    import pandas as pd

    arguments, output = command("trace")
    assert untrac(*arguments, "--output", output).code == 0
    metrics = pd.read_csv(next((output / "logs").rglob("metrics.csv")))
    rows = [row for row in InfluenceStore(output).rows() if row.final]
    for row in rows:
        curve = metrics[f"influence/{row.test_set}/{row.corpus}"].dropna()
        assert curve.iloc[-1] == pytest.approx(row.influence, rel=1e-5, abs=1e-7)


def test_a_resolved_configuration_reruns_the_step(untrac, command, tmp_path):
    arguments, output = command("trace")
    assert untrac(*arguments, "--output", output).code == 0
    ran = untrac("trace", "--method", "untrac", "--config", output / "trace-untrac.yaml")
    assert ran.code == 0, ran.text
    assert "finished already" in ran.text


def test_switches_need_no_value(untrac, command):
    arguments, output = command("trace")
    assert untrac(*arguments, "--output", output).code == 0
    assert untrac(*arguments, "--output", output, "--readings", "1").code == 2
    assert untrac(*arguments, "--readings", "1", "--overwrite", "--output", output).code == 0


@pytest.mark.parametrize("verb", ["pretrain", "unlearn"])
def test_every_step_of_a_short_run_is_logged(untrac, command, verb):
    import pandas as pd

    arguments, output = command(verb)
    alone = ("--heal_steps", "0") if verb == "unlearn" else ()
    assert untrac(*arguments, "--output", output, "--steps", "45", *alone).code == 0
    metrics = pd.read_csv(next((output / "logs").rglob("metrics.csv")))
    assert len(metrics["train/objective"].dropna()) == 22  # every second step


def test_what_a_recipe_holds_at_its_top_is_taken_by_single_verbs(untrac, command, config, tmp_path):
    _, output = command("evaluate")
    ran = untrac("evaluate", "--config", config(title="mine", output=str(output), wandb=None))
    assert ran.code == 0, ran.text
    assert (output / "summary.parquet").is_file()


@pytest.mark.parametrize("keep", [True, False])
def test_checkpoints_after_success(untrac, command, keep):
    arguments, output = command("pretrain")
    ran = untrac(*arguments, "--output", output, "--keep_checkpoints", str(keep).lower())
    assert ran.code == 0, ran.text
    assert (output / "checkpoints" / "pretrain").exists() == keep
    assert ("MiB) stay: adam_graddot" in ran.text) == keep
    assert (output / "model").is_dir()
    again = untrac(*arguments, "--output", output)  # the same training, whether they stay or not
    assert "finished already" in again.text


def test_checkpoints_of_unlearning_go_with_its_success(untrac, command):
    arguments, output = command("unlearn")
    assert untrac(*arguments, "--output", output, "--checkpoint_every", "1").code == 0
    assert not (output / "checkpoints" / "unlearn-birds").exists()


def test_bf16_without_instructions_for_it_is_warned_of(untrac, command, monkeypatch):
    arguments, output = command("trace")
    for multiplies, said in ((False, True), (True, False), (None, False)):
        monkeypatch.setattr("lightning_untrac.config.arithmetic.multiplies_bf16", lambda known=multiplies: known)
        ran = untrac(*arguments, "--output", output, "--overwrite", "--trainer.precision", "bf16-mixed")
        assert ran.code == 0, ran.text
        assert ("has no instructions for bfloat16" in ran.text) == said
        shutil.rmtree(output)
