"""Killed at any moment, the same command goes on, and the results are those of a run that nobody touched."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import processes
import pytest

from lightning_untrac.tables import InfluenceStore, equal_tables, read_measurements, read_summary

pytestmark = pytest.mark.slow


def start(*arguments):
    command = [sys.executable, "-m", "lightning_untrac", *map(str, arguments)]
    # A shell that runs the tests in its background has them ignore Ctrl-C, and a child inherits that.
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hears)


def stop_at(process, marker, how, delay=0.1):
    """Send a signal soon after the process has said something; what it said then, and its exit code."""
    try:
        for line in process.stdout:
            if marker in line:
                time.sleep(delay)
                process.send_signal(how)
                break
        return process.stdout.read(), process.wait(timeout=60)
    finally:
        end(process)


def end(process):
    """Kill a process, if it still runs, and close what it wrote to."""
    process.kill()
    process.wait()
    process.stdout.close()


def tables_equal(one, other):
    tables = [InfluenceStore(folder).table().drop_columns(["seconds"]) for folder in (one, other)]
    return tables[0].num_rows > 0 and equal_tables(*tables)


def test_ctrl_c_in_a_trace(untrac, config, tmp_path):
    trace = ("trace", "--method", "untrac", "--config", config(), "--steps", "300", "--readings", "3", "--output")
    said, code = stop_at(start(*trace, tmp_path / "cut"), "episode 2 of 3", signal.SIGINT)
    assert code == 130, said
    assert "Traceback" not in said
    assert "interrupted; what was finished is kept" in said
    assert ("birds", 0) in InfluenceStore(tmp_path / "cut").finished_episodes("untrac")
    ran = untrac(*trace, tmp_path / "cut")
    assert ran.code == 0, ran.text
    assert "birds, episode" not in ran.text
    assert untrac(*trace, tmp_path / "whole").code == 0
    assert tables_equal(tmp_path / "cut", tmp_path / "whole")


def test_kill_in_a_recipe(untrac, recipe, tmp_path):
    steps = [
        {"pretrain": {"steps": 200, "checkpoint_every": 20}},
        {"trace": {"method": "untrac", "steps": 300, "readings": 3}},
        {"trace": {"method": "untrac_inv", "steps": 3, "examples": True}},
    ]
    path, folder = recipe(stages=steps), tmp_path / "out"
    process = start("run", path, "--output", folder)
    first = folder / "checkpoints" / "pretrain" / "step=20.ckpt"
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    end(process)
    assert list(first.parent.glob("step=*.ckpt"))
    assert not (folder / "model").exists()
    said, code = stop_at(start("run", path, "--output", folder), "episode 2 of 3", signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    assert (folder / "model").exists()
    ran = untrac("run", path, "--output", folder)
    assert ran.code == 0, ran.text
    assert ran.text.count("finished already") == 1
    shutil.move(folder, tmp_path / "cut")
    # In the same folder, because the paths in it are part of the configuration.
    assert untrac("run", path, "--output", folder).code == 0
    weights = [(path / "model" / "model.safetensors").read_bytes() for path in (folder, tmp_path / "cut")]
    assert weights[0] == weights[1]
    assert tables_equal(folder, tmp_path / "cut")
    assert equal_tables(InfluenceStore(folder).examples(), InfluenceStore(tmp_path / "cut").examples())


@pytest.mark.parametrize("every", [None, 2, 3])
def test_killed_between_the_last_checkpoint_and_the_model(untrac, config, recipe_content, tmp_path, every):
    output = tmp_path / "out"
    pretrain = ["pretrain", "--config", config(model=recipe_content["model"]), "--output", output, "--steps", "4"]
    pretrain += ["--checkpoint_every", every] if every else []
    assert untrac(*pretrain).code == 0
    weights = (output / "model" / "model.safetensors").read_bytes()
    (output / ".untrac" / "pretrain.done.json").unlink()
    shutil.rmtree(output / "model")
    ran = untrac(*pretrain)
    assert ran.code == 0, ran.text
    assert "4 steps" in ran.text
    assert (output / "model" / "model.safetensors").read_bytes() == weights


def test_checkpoints_that_are_none(untrac, config, recipe_content, tmp_path):
    output = tmp_path / "out"
    pretrain = ["pretrain", "--config", config(model=recipe_content["model"]), "--output", output, "--steps", "5"]
    pretrain += ["--checkpoint_every", "2"]
    assert untrac(*pretrain).code == 0
    weights = (output / "model" / "model.safetensors").read_bytes()
    (output / ".untrac" / "pretrain.done.json").unlink()
    for checkpoint in (output / "checkpoints" / "pretrain").iterdir():
        checkpoint.write_bytes(b"junk")
    with pytest.warns(UserWarning, match=r"step=4.ckpt is damaged .*step=2.ckpt is damaged .*begins at its first step"):
        ran = untrac(*pretrain)
    assert ran.code == 0, ran.text
    assert (output / "model" / "model.safetensors").read_bytes() == weights


def test_the_two_newest_checkpoints_are_kept(untrac, config, recipe_content, tmp_path):
    output = tmp_path / "out"
    pretrain = ["pretrain", "--config", config(model=recipe_content["model"]), "--output", output, "--steps", "7"]
    assert untrac(*pretrain, "--checkpoint_every", "2").code == 0
    kept = {path.name for path in (output / "checkpoints" / "pretrain").iterdir()}
    assert kept == {"step=4.ckpt", "step=6.ckpt"}


ENDS_ONCE = """
import os, signal
from pathlib import Path
from lightning.pytorch.callbacks import Callback

class EndsOnce(Callback):
    def __init__(self, how: str, mark: str) -> None:
        self.how, self.mark = how, Path(mark)

    def _now(self, trainer, how, step):
        if how != self.how or trainer.global_step != step or self.mark.exists():
            return False
        self.mark.touch()
        return True

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self._now(trainer, "signalled", 7):
            os.kill(os.getpid(), signal.SIGTERM)
        if self._now(trainer, "told", 7):
            trainer.should_stop = True

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        if self._now(trainer, "killed", 8):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "code"), [("killed", -signal.SIGKILL), ("signalled", 143), ("told", 124)])
def test_a_reading_is_not_lost_where_an_unlearning_ends_at_it(untrac, config, tmp_path, monkeypatch, how, code):
    """The step that is read has a checkpoint too: of ``checkpoint_every``, or because the run is told to end there."""
    (tmp_path / "my_callbacks.py").write_text(ENDS_ONCE)
    monkeypatch.syspath_prepend(tmp_path)
    stop = {"class_path": "my_callbacks.EndsOnce", "init_args": {"how": how, "mark": str(tmp_path / "mark")}}
    asked = config(trainer={"accelerator": "cpu", "callbacks": [stop]})
    fixed = ("unlearn", "--config", asked, "--forget", "birds", "--objective", "ga", "--steps", "12", "--readings", "3")
    fixed += ("--checkpoint_every", "8" if how == "killed" else "5", "--output")
    command = processes.start(*fixed, tmp_path / "cut", log=tmp_path / "log")
    assert command.wait() == code, command.text
    saved = {path.name for path in (tmp_path / "cut" / "checkpoints").rglob("*.ckpt")}
    assert ("step=8.ckpt" in saved) == (how != "killed")
    for folder in ("cut", "whole"):
        ran = untrac(*fixed, tmp_path / folder)
        assert ran.code == 0, ran.text
    for read in (read_summary, read_measurements):
        assert equal_tables(read(tmp_path / "cut"), read(tmp_path / "whole"), ignore=["model"])
