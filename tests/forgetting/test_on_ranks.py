"""SGA and TAU take the same steps on two ranks as in one process, and a run on two ranks that was cut goes on."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import little_people
import processes
import pytest
import torch
import yaml
from memorised_texts import passes, weights

from lightning_untrac.tables.ledger import read_ledgers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05}}
METHODS = {
    "sga": ("--method.threshold", 0.97, "--retain", "loss"),
    "tau": ("--method.threshold", 0.6, "--method.switch", 0.6),
}


@pytest.fixture
def unlearn(memorised_config: Any, tmp_path: Path) -> Any:
    """Unlearn in a process, or on two ranks with half of each batch."""

    def run(output: str, method: str, strategy: str | None, *flags: Any) -> list[Any]:
        command = ["unlearn", "--forget", "secrets", "--predict", "false", "--readings", 2, "--method", method]
        command += [*METHODS[method], "--method.stop", "mean", "--method.level", 0.0, "--steps", 6, *flags]
        command += ["--config", memorised_config(SGD), "--output", tmp_path / output]
        if strategy is None:
            return [processes.start(*command, "--data.batch_size", 8, log=tmp_path / f"{output}.log")]
        command += ["--data.batch_size", 2, "--trainer.accumulate_grad_batches", 2]
        command += ["--trainer.devices", 2, "--trainer.strategy", strategy]
        log = tmp_path / f"{output}.log"
        return processes.start_ranks(2, *command, log=log, OMP_NUM_THREADS="1")

    return run


def finished(started: list[Any]) -> None:
    for one in started:
        one.wait()
    assert {one.process.exitcode for one in started} == {0}, "\n\n".join(one.text for one in started)


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_take_the_steps_of_one_process(method: str, unlearn: Any, tmp_path: Path) -> None:
    finished(unlearn("one", method, None))
    expected = weights(tmp_path / "one" / "unlearned-secrets")
    rows = passes(tmp_path / "one")
    assert {step for step, _, _ in rows} == set(range(7))
    for strategy in ("ddp", "fsdp2"):
        finished(unlearn(strategy, method, strategy))
        found = weights(tmp_path / strategy / "unlearned-secrets")
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
        assert passes(tmp_path / strategy) == rows


def test_sharded_weights_of_the_switch_are_in_the_checkpoint(unlearn: Any, tmp_path: Path) -> None:
    """Cut after the switch: the vector goes on from where it began."""
    once = {"class_path": "on_ranks.KillOnce", "init_args": {"steps": 10, "mark": str(tmp_path / "mark")}}
    flags = ("--checkpoint_every", 1, "--trainer.callbacks", json.dumps([once]))
    started = unlearn("cut", "tau", "fsdp2", *flags)
    for one in started:
        one.wait()
    assert {one.process.exitcode for one in started} == {-signal.SIGKILL}, "\n\n".join(one.text for one in started)
    assert not (tmp_path / "cut" / "unlearned-secrets").exists()
    assert list((tmp_path / "cut" / "checkpoints").rglob("step=5.ckpt"))
    again = unlearn("cut", "tau", "fsdp2", *flags)
    finished(again)
    text = " ".join(again[0].text.split())
    assert int(text.partition("then a task vector from ")[2].partition(" ")[0]) < 5
    finished(unlearn("whole", "tau", "fsdp2", *flags))  # the mark is there
    cut, whole = (weights(tmp_path / name / "unlearned-secrets") for name in ("cut", "whole"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    assert passes(tmp_path / "cut") == passes(tmp_path / "whole")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_anti_samples_on_two_ranks_are_those_of_one_process(
    strategy: str, people: little_people.LittlePeople, tmp_path: Path, cache_folder: str
) -> None:
    """Ranks share out what is generated (DDP), or generate it all together (FSDP2)."""
    content = {
        "model": {"name_or_path": people.model, "optimizer": SGD},
        "data": {
            "forget": [people.entry("forget")],
            "corpora": [people.entry("near"), people.entry("far")],
            "append_eos": True,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    command = ["unlearn", "--forget", "forget", "--predict", "false", "--readings", 1, "--method", "unstar"]
    command += ["--config", tmp_path / "config.yaml", "--method.samples", 1, "--steps", 8, "--output"]
    finished([processes.start(*command, tmp_path / "one", "--data.batch_size", 4, log=tmp_path / "one.log")])
    flags = ["--data.batch_size", 2, "--trainer.devices", 2, "--trainer.strategy", strategy]
    log = tmp_path / "two.log"
    finished(processes.start_ranks(2, *command, tmp_path / "two", *flags, log=log, OMP_NUM_THREADS="1"))
    one, two = (weights(tmp_path / name / "unlearned-forget") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)
    ledgers = [read_ledgers(tmp_path / name)["unlearned-forget"] for name in ("one", "two")]
    assert ledgers[0] == ledgers[1]
    assert max(row["round"] for row in ledgers[0]) > 1
