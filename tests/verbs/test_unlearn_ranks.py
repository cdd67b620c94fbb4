"""``unlearn`` on two ranks takes the steps of one process, and both ranks end alike where the model collapses."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import processes
import pytest

from lightning_untrac.tables import read_summary

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

OBJECTIVE = {"forget": "NPO", "retain": [{"class_path": "RetainKL", "init_args": {"weight": 20.0}}]}
STRATEGIES = ("ddp", "fsdp2")


@pytest.fixture
def unlearn(config: Any, tmp_path: Path, model_folders: Any) -> Any:
    """Unlearn in a process, or on two ranks with half of each batch; what each has printed."""

    def run(output: str, strategy: str | None, objective: Any, lr: float, steps: int) -> list[str]:
        model = {
            "name_or_path": model_folders("llama"),
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": lr}},
            **({} if objective is None else {"unlearning_objective": objective}),
        }
        command = ["unlearn", "--config", config(model=model), "--forget", "birds", "--steps", steps, "--readings", 2]
        command += ["--output", tmp_path / output]
        if strategy is None:
            started = [processes.start(*command, "--data.batch_size", 4, log=tmp_path / f"{output}.log")]
        else:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            command += ["--data.batch_size", 2, "--trainer.devices", 2, "--trainer.strategy", strategy]
            log = tmp_path / f"{output}.log"
            started = processes.start_ranks(2, *command, log=log, port=port, OMP_NUM_THREADS="1")
        for one in started:
            one.wait()
        texts = [one.text for one in started]
        assert {one.process.exitcode for one in started} == {0}, "\n\n".join(texts)
        return texts

    return run


def table(folder: Path) -> dict[Any, Any]:
    keys = ("step", "measure", "dataset", "statistic")
    return {tuple(row[key] for key in keys): row for row in read_summary(folder).to_pylist()}


def test_two_ranks_unlearn_as_one_process(unlearn: Any, tmp_path: Path) -> None:
    """Few and small steps: where losses are many times what they were, float32 alone moves them by 1e-5."""
    unlearn("one", None, OBJECTIVE, 0.02, 4)
    expected = table(tmp_path / "one")
    losses = {key: row["value"] for key, row in expected.items() if key[1] == "loss" and key[3] == "mean"}
    assert losses[4, "loss", "birds", "mean"] > losses[0, "loss", "birds", "mean"] + 1e-2
    for strategy in STRATEGIES:
        unlearn(strategy, strategy, OBJECTIVE, 0.02, 4)
        found = table(tmp_path / strategy)
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert found[key]["value"] == pytest.approx(row["value"], abs=5e-6), (strategy, key)
            assert found[key]["status"] == row["status"]


def test_a_collapse_ends_both_ranks_at_the_same_step(unlearn: Any, tmp_path: Path) -> None:
    unlearn("one", None, None, 50.0, 12)
    expected = table(tmp_path / "one")
    assert "collapsed" in {row["status"] for row in expected.values()}
    assert max(key[0] for key in expected) < 12
    for strategy in STRATEGIES:
        unlearn(strategy, strategy, None, 50.0, 12)
        found = table(tmp_path / strategy)
        assert found.keys() == expected.keys()
        assert {key: row["status"] for key, row in found.items()} == {k: row["status"] for k, row in expected.items()}
