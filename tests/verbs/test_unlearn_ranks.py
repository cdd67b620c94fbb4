"""``unlearn`` on two ranks is that of one process, whatever ends it, and a kill changes nothing."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import processes
import pytest
import torch
import yaml
from safetensors.torch import load_file

from lightning_untrac import LanguageModule
from lightning_untrac.tables import equal_tables, read_measurements, read_summary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

STRATEGIES = ("ddp", "fsdp2")
NEAR = 1e-9
"""Nats per token: weights are float64, and sums in another order move a loss near 5 by some 1e-15."""

RUNS: dict[str, dict[str, Any]] = {
    "npo": {
        "objective": {"forget": "NPO", "retain": [{"class_path": "RetainKL", "init_args": {"weight": 20.0}}]},
        "lr": 0.02,
        "flags": ["--steps", 4, "--readings", 2],
    },
    "default": {"flags": ["--until_rise", 0.1, "--heal_steps", 4, "--readings", 3]},
    "vector": {"lr": 0.02, "flags": ["--method", "task_vector", "--steps", 4, "--readings", 2]},
    "holdout": {"objective": "GradientAscent", "lr": 0.3, "holdout": True, "flags": ["--steps", 6, "--readings", 6]},
    "measure": {
        "objective": "GradientAscent",
        "lr": 0.3,
        "flags": ["--steps", 6, "--readings", 6, "--stop_at", "loss/ask-birds>=6.2"],
    },
    "retained": {
        "objective": "GradientAscent",
        "lr": 0.3,
        "flags": ["--steps", 6, "--readings", 6, "--stop_at_retained_rise", 0.05, "--stop_patience", 2],
    },
    "collapse": {"lr": 50.0, "flags": ["--steps", 12, "--readings", 2]},
    "text": {
        "objective": {"forget": "GradientAscent", "retain": ["RetainLoss"]},
        "lr": 0.02,
        "text": True,
        "flags": ["--forget_text", "What is the capital of France?", "--steps", 2, "--readings", 1],
    },
}
KILLED = {"default": {"steps": 2, "heals": True}, "vector": {"steps": 3}}
"""Where a run is killed: the default course while it heals."""


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def save_trained(config: dict[str, Any], texts: list[str], folder: Path) -> None:
    """Save a model with room for an answer, which has learned some texts a little: there is something to forget."""
    module = LanguageModule(config={**config, "n_positions": 256}, tokenizer="byte", dtype="float64")
    module.configure_model()
    model: Any = module.model
    batch = module.tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    module.tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def command(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any], text_files: Any, tiny_configs: Any
) -> Any:
    """The folder of all runs, and the command of one."""
    folder = tmp_path_factory.mktemp("unlearned")
    texts = [json.loads(line)["text"] for name in ("birds", "ships", "bread") for line in _lines(text_files[name])]
    save_trained(tiny_configs["gpt2"], texts, folder / "model")

    def make(run: str, output: str, strategy: str | None, **trainer: Any) -> list[Any]:
        asked = RUNS[run]
        data = {**settings["data"]}
        if asked.get("holdout"):
            data["holdout"] = [{"name": "unseen", "path": str(text_files["ask-ships"])}]
        if asked.get("text"):
            data |= {"corpora": [], "test_sets": []}
        model = {"name_or_path": str(folder / "model"), "dtype": "float64"}
        if "lr" in asked:
            model["optimizer"] = {"class_path": "torch.optim.SGD", "init_args": {"lr": asked["lr"]}}
        if "objective" in asked:
            model["unlearning_objective"] = asked["objective"]
        content = {"model": model, "data": data, "trainer": {"accelerator": "cpu", **trainer}}
        path = folder / f"{output}.yaml"
        path.write_text(yaml.safe_dump(content))
        words = ["unlearn", "--config", path, "--output", folder / output, *asked["flags"]]
        words += [] if asked.get("text") else ["--forget", "birds"]
        if strategy is None:
            return [*words, "--data.batch_size", 4]
        return [*words, "--data.batch_size", 2, "--trainer.devices", 2, "--trainer.strategy", strategy]

    return folder, make


@pytest.fixture(scope="module")
def ended(command: Any) -> Path:
    """The folders of all runs: in one process, and on two ranks of each strategy, one after another."""
    folder, make = command
    started = []
    for strategy in STRATEGIES:
        commands = [make(run, f"{run}-{strategy}", strategy) for run in RUNS]
        started.append(processes.start_ranks_in_turn(2, commands, log=folder / strategy))
    started.append([processes.start_in_turn([make(run, f"{run}-one", None) for run in RUNS], log=folder / "one")])
    for ranks in started:
        processes.wait_for_all(ranks, 500)
    return folder


def table(folder: Path) -> dict[Any, Any]:
    keys = ("step", "measure", "dataset", "statistic")
    return {tuple(row[key] for key in keys): row for row in read_summary(folder).to_pylist()}


def facts(folder: Path, field: str) -> Any:
    (found,) = json.loads((folder / "run.json").read_text())[field].values()
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("run", RUNS)
def test_two_ranks_unlearn_as_one_process(run: str, strategy: str, ended: Path) -> None:
    expected, found = table(ended / f"{run}-one"), table(ended / f"{run}-{strategy}")
    assert found.keys() == expected.keys()  # also the same steps
    for key, row in expected.items():
        assert found[key]["status"] == row["status"]
        if run != "collapse":  # where losses of 1e5 make rounding a matter of whole nats
            assert found[key]["value"] == pytest.approx(row["value"], abs=NEAR, rel=NEAR), key
    one, two = (facts(ended / f"{run}-{name}", "endings") for name in ("one", strategy))
    assert (two["step"], two["steps"]) == (one["step"], one["steps"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_damage_that_is_predicted_is_the_same(strategy: str, ended: Path) -> None:
    one, two = (facts(ended / f"npo-{name}", "predicted")["rows"] for name in ("one", strategy))
    assert [row["dataset"] for row in two] == [row["dataset"] for row in one]
    assert [row["rise"] for row in two] == pytest.approx([row["rise"] for row in one], rel=1e-6)
    assert max(abs(row["rise"]) for row in one) > 1e-3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_answers_before_and_after_are_the_same(strategy: str, ended: Path) -> None:
    one, two = (facts(ended / f"text-{name}", "answers") for name in ("one", strategy))
    assert two == one
    files = [ended / f"text-{name}" / "unlearn-text.texts" / "forget.jsonl" for name in ("one", strategy)]
    assert files[0].read_text() == files[1].read_text()


def test_the_runs_end_where_they_are_meant_to(ended: Path) -> None:
    """Or all of the above would hold for runs that do nothing, or that nothing stops."""
    for run in ("holdout", "measure", "retained"):
        ending = facts(ended / f"{run}-one", "endings")
        assert 0 < ending["step"] < 6, (run, ending)
    healed = facts(ended / "default-one", "endings")
    assert healed["healing"] == 4 < healed["step"] < healed["steps"], healed
    assert "10% of the way to a uniform guess" in healed["reason"]
    rows = table(ended / "collapse-one")
    assert "collapsed" in {row["status"] for row in rows.values()}
    assert max(step for step, *_ in rows) < 12
    losses = {key: row["value"] for key, row in table(ended / "npo-one").items()}
    assert losses[4, "loss", "birds", "mean"] > losses[0, "loss", "birds", "mean"] + 1e-2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_on_both_ranks_the_same_command_ends_in_the_same_bits(strategy: str, command: Any) -> None:
    folder, make = command
    twice: list[list[Any]] = []
    for run, moment in KILLED.items():
        for part in ("cut", "whole"):
            mark = folder / f"{run}-{strategy}-mark"
            kill = {"class_path": "on_ranks.KillOnce", "init_args": {**moment, "mark": str(mark)}}
            words = make(run, f"{run}-{strategy}-{part}", strategy, callbacks=[kill])
            twice.append([*words, "--checkpoint_every", 2])
    # The second run of a pair finds the mark of the first, and is not killed.
    for number, run in enumerate(KILLED):
        ranks = processes.start_ranks_in_turn(2, twice[2 * number :], log=folder / f"{run}-{strategy}-log")
        assert [rank.wait() for rank in ranks] == [-signal.SIGKILL] * 2, "\n\n".join(rank.text for rank in ranks)
        checkpoints = folder / f"{run}-{strategy}-cut" / "checkpoints"
        assert [path.name for path in checkpoints.rglob("step=*.ckpt")], run
    processes.wait_for_all(processes.start_ranks_in_turn(2, twice, log=folder / f"{strategy}-again"), 300)
    for run in KILLED:
        cut, whole = (folder / f"{run}-{strategy}-{part}" for part in ("cut", "whole"))
        for read in (read_summary, read_measurements):
            assert equal_tables(read(cut), read(whole), ignore=["model"])
        weights = [load_file(one / "unlearned-birds" / "model.safetensors") for one in (cut, whole)]
        assert all(tensor.equal(weights[1][name]) for name, tensor in weights[0].items())
