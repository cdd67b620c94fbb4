"""Killed, signalled, damaged, full: what was computed stays, the message says what to do, the same command goes on."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from processes import start, start_ranks

from lightning_untrac.faults import advice
from lightning_untrac.runs.checkpoints import damage
from lightning_untrac.runs.ending import with_our_own_requeueing
from lightning_untrac.tables import InfluenceStore, equal_tables

pytestmark = pytest.mark.slow

STAGES = [
    {"pretrain": {"steps": 40, "checkpoint_every": 8}},
    {"trace": {"method": "untrac", "steps": 15, "readings": 3}},
    {"trace": {"method": "untrac_inv", "steps": 3, "examples": True}},
    {"leave-out": {"steps": 10}},
]


def kill(command, how=signal.SIGKILL):
    """Send a signal to a command and to whatever it has started."""
    if command.process.is_alive():
        try:
            os.killpg(command.process.pid, how)
        except ProcessLookupError:  # so early that it has no group of its own yet
            command.signal(how)
    command.process.join(60)


def results(folder):
    """Everything that two runs of one recipe must agree on, to the last bit."""
    store = InfluenceStore(folder)
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("model", "initial_model")]
    return store.table(), store.examples(), weights


def same(one, other):
    return equal_tables(one[0], other[0]) and equal_tables(one[1], other[1]) and one[2] == other[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory, recipe_content):
    """A recipe, the folder that it writes to, and what comes out if nobody touches it; paths count as settings."""
    import yaml

    place = tmp_path_factory.mktemp("faults")
    path, folder = place / "recipe.yaml", place / "out"
    path.write_text(yaml.safe_dump({**recipe_content, "stages": STAGES}))
    assert start("--version", log=place / "warm").wait() == 0  # the server imports everything
    began = time.monotonic()
    command = start("run", path, "--output", folder, log=place / "whole")
    assert command.wait() == 0, command.text
    seconds = time.monotonic() - began
    shutil.copytree(folder, place / "whole-run")
    return path, folder, results(folder), seconds


@pytest.fixture
def finished(scene):
    """The folder of the finished recipe, as it was."""
    path, folder, _, _ = scene
    shutil.rmtree(folder)
    shutil.copytree(path.parent / "whole-run", folder)
    return folder


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments(scene, tmp_path, seed):
    path, folder, whole, seconds = scene
    rng = random.Random(seed)
    shutil.rmtree(folder)
    log, kills, code = tmp_path / "log", 0, None
    while code != 0:
        command = start("run", path, "--output", folder, log=log)
        # Shorter ones only at first, so that it ends some time.
        command.process.join(rng.uniform(0.0, seconds * (0.5 if kills < 10 else 2.0)))
        if command.process.is_alive():
            kill(command)
            kills += 1
        code = command.process.exitcode
        assert code in (0, -signal.SIGKILL), command.text
        assert "Traceback" not in command.text, command.text
        assert "damaged" not in command.text, command.text
    assert kills >= 8
    assert same(results(folder), whole)


@pytest.mark.parametrize("seed", [0])
def test_one_of_two_ranks_killed(config, recipe_content, tmp_path, seed):
    settings = config(model=recipe_content["model"], trainer={"accelerator": "cpu", "strategy": "ddp", "devices": 2})
    rng, output = random.Random(seed), tmp_path / "out"
    command = ["pretrain", "--config", settings, "--steps", "40", "--checkpoint_every", "5", "--output", output]

    def run(name, delay=None):
        ranks = start_ranks(2, *command, log=tmp_path / name)
        if delay is not None:
            ranks[1].process.join(delay)
            kill(ranks[seed % 2])
            for rank in ranks:
                rank.process.join(1.0)  # the other one may wait for it
                kill(rank)
        return ranks

    began = time.monotonic()
    assert all(rank.wait() == 0 for rank in run("whole"))
    seconds = time.monotonic() - began
    weights = (output / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(output)
    for number in range(3):
        run(f"cut-{number}", rng.uniform(0.3, 0.9) * seconds)
    ranks = run("again")
    assert [rank.wait() for rank in ranks] == [0, 0], ranks[0].text
    assert (output / "model" / "model.safetensors").read_bytes() == weights


# -- damage ------------------------------------------------------------------------------------------------------------


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 64)
    content[middle] = bytes(byte ^ 0x10 for byte in content[middle])
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "harm"), [("influence.parquet", cut_short), ("examples.parquet", flip)])
def test_a_damaged_table(scene, finished, tmp_path, name, harm):
    path, folder, whole, _ = scene
    harm(folder / name)
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    assert command.wait() == 0, command.text
    assert f"{name} was damaged" in command.text
    assert f"kept as {name}.damaged" in command.text
    assert (folder / f"{name}.damaged").exists()
    assert f"{name} was damaged" in (folder / "notes.json").read_text()
    assert same(results(folder), whole)
    again = start("run", path, "--output", folder, log=tmp_path / "again")
    assert again.wait() == 0, again.text
    assert again.text.count("finished already") == len(STAGES)
    assert "damaged" not in again.text


@pytest.mark.parametrize("kind", ["influence", "examples"])
def test_a_damaged_episode_is_run_again(scene, finished, tmp_path, kind):
    path, folder, whole, _ = scene
    flip(next((folder / "episodes" / kind / "untrac_inv").glob("ask-birds-seed-*.parquet")))
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    assert command.wait() == 0, command.text
    assert "ask-birds-seed-0.parquet was damaged" in command.text
    assert "ask-birds, episode" in command.text
    assert "ask-ships, episode" not in command.text
    assert same(results(folder), whole)


def test_a_folder_of_the_version_before(scene, finished, tmp_path):
    """It had the tables alone."""
    path, folder, whole, _ = scene
    shutil.rmtree(folder / "episodes")
    for name in ("influence", "examples"):
        table = pq.read_table(folder / f"{name}.parquet")
        if name == "influence":  # and was killed in an episode
            its = pc.and_(pc.equal(table["method"], "untrac"), pc.equal(table["corpus"], "bread"))
            table = table.filter(pc.invert(pc.and_(its, table["final"])))
        pq.write_table(table.replace_schema_metadata({"untrac.sha256": "0" * 64}), folder / f"{name}.parquet")
    for mark in (folder / ".untrac").glob("trace-*.done.json"):
        mark.unlink()
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    assert command.wait() == 0, command.text
    assert "untrac: bread, episode 3 of 3" in command.text
    assert command.text.count(", episode ") == 1
    assert same(results(folder), whole)


@pytest.mark.parametrize(("count", "harm"), [(1, flip), (2, cut_short)])
def test_damaged_checkpoints(scene, finished, tmp_path, count, harm):
    path, folder, whole, _ = scene
    shutil.rmtree(folder)
    command = start("run", path, "--output", folder, log=tmp_path / "cut")
    deadline = time.monotonic() + 60
    while len(checkpoints(folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    kill(command)
    newest = checkpoints(folder)
    assert len(newest) in (2, 3)  # the third is the oldest of them, about to be removed
    for damaged in newest if count == 2 else newest[:1]:
        harm(damaged)
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    assert command.wait() == 0, command.text
    assert f"{newest[0].name} is damaged" in command.text
    then = f"the run goes on from {newest[1].name}" if count == 1 else "training begins at its first step"
    assert then in command.text
    assert same(results(folder), whole)


def checkpoints(folder):
    found = (folder / "checkpoints" / "pretrain").glob("step=*.ckpt")
    return sorted(found, key=lambda path: int(path.stem.partition("=")[2]), reverse=True)


@pytest.mark.parametrize("name", ["model/model.safetensors", "initial_model/model.safetensors", "model/checksums.json"])
def test_a_damaged_model(scene, finished, untrac, config, tmp_path, name):
    path, folder, whole, _ = scene
    flip(folder / name) if name.endswith("safetensors") else cut_short(folder / name)
    saved = Path(name).parent.name
    verb = "trace" if saved == "model" else "leave-out"
    start_again = [] if saved == "model" else ["--model.init_seed", "0"]
    ran = untrac(verb, "--config", config(model={}), "--output", folder, "--steps", "9", "--overwrite", *start_again)
    assert ran.code == 2, ran.text
    assert f"{saved}: {Path(name).name}" in ran.text
    assert "run the `untrac pretrain` that made it again" in ran.text
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    assert command.wait() == 0, command.text
    assert "training goes on from the last sound checkpoint" in command.text
    assert same(results(folder), whole)


@pytest.mark.parametrize("name", ["summary.parquet", "measurements.parquet"])
def test_damaged_measurements(untrac, config, tmp_path, name):
    evaluate = ("evaluate", "--config", config(), "--output", tmp_path / "out")
    assert untrac(*evaluate).code == 0
    whole = (tmp_path / "out" / name).read_bytes()
    cut_short(tmp_path / "out" / name)
    with pytest.warns(UserWarning, match=f"moved to {name}.damaged"):
        ran = untrac(*evaluate)
    assert ran.code == 0, ran.text
    assert (tmp_path / "out" / name).read_bytes() == whole


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_in_training_saves_a_checkpoint(config, recipe_content, tmp_path, how):
    output = tmp_path / "out"
    pretrain = ("pretrain", "--config", config(model=recipe_content["model"]), "--steps", "150", "--output", output)
    command = start(*pretrain, log=tmp_path / "log")
    deadline = time.monotonic() + 60
    while not (output / "initial_model").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.2)
    began = time.monotonic()
    command.signal(how)
    command.signal(how)  # while it is ending
    assert command.wait() == 143, command.text
    assert time.monotonic() - began < 10
    assert "Traceback" not in command.text
    assert f"ended by {how.name}; what was finished is kept" in command.text
    (saved,) = checkpoints(output)
    weights = None
    for log in ("resumed", "whole"):
        command = start(*pretrain, log=tmp_path / log)
        assert command.wait() == 0, command.text
        assert weights in (None, (output / "model" / "model.safetensors").read_bytes())
        weights = (output / "model" / "model.safetensors").read_bytes()
        assert log == "whole" or int(saved.stem.partition("=")[2]) > 0
        shutil.rmtree(output)


def test_a_signal_in_a_trace(config, tmp_path):
    output = tmp_path / "out"
    trace = (
        "trace",
        "--method",
        "untrac",
        "--config",
        config(),
        "--steps",
        "60",
        "--readings",
        "3",
        "--output",
        output,
    )
    command = start(*trace, log=tmp_path / "log")
    command.wait_for("episode 2 of 3")
    command.signal(signal.SIGTERM)
    assert command.wait(20) == 143, command.text
    assert "Traceback" not in command.text
    assert "ended by SIGTERM; what was finished is kept" in command.text
    assert ("birds", 0) in InfluenceStore(output).finished_episodes("untrac")
    command = start(*trace, log=tmp_path / "again")
    assert command.wait() == 0, command.text
    assert "birds, episode" not in command.text


@pytest.mark.parametrize("seed", range(2))
def test_a_signal_at_a_random_moment(scene, tmp_path, seed):
    path, folder, _, seconds = scene
    shutil.rmtree(folder, ignore_errors=True)
    command = start("run", path, "--output", folder, log=tmp_path / "log")
    command.process.join(random.Random(seed).uniform(0.1, 0.9) * seconds)
    too_late = command.process.exitcode == 0  # `seconds` were measured while the machine was busier
    command.signal(signal.SIGTERM)
    assert command.wait(20) in (143, -signal.SIGTERM, 0 if too_late else None), command.text
    assert "Traceback" not in command.text


@pytest.mark.parametrize("verb", ["pretrain", "trace"])
def test_a_signal_to_two_ranks(config, recipe_content, tmp_path, verb):
    trainer = {"accelerator": "cpu", "strategy": "ddp", "devices": 2}
    parts = {"model": recipe_content["model"]} if verb == "pretrain" else {}
    command = [verb, "--config", config(trainer=trainer, **parts), "--steps", "400", "--output", tmp_path / "out"]
    ranks = start_ranks(2, *command, log=tmp_path / "log")
    for rank in ranks:
        rank.wait_for("episode 1 of" if verb == "trace" else "pretrain", 60) if rank is ranks[0] else None
    time.sleep(0.3)
    for rank in ranks:
        rank.signal(signal.SIGTERM)
    assert [rank.wait(25) for rank in ranks] == [143, 143], ranks[0].text + ranks[1].text
    assert "Traceback" not in ranks[0].text + ranks[1].text
    assert verb == "trace" or len(checkpoints(tmp_path / "out")) == 1


# -- disk --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process can be set on Linux only")
def test_a_file_that_cannot_be_written(config, recipe_content, tmp_path):
    output = tmp_path / "out"
    model = config(model=recipe_content["model"])
    pretrain = ("pretrain", "--config", model, "--steps", "150", "--checkpoint_every", "10", "--output", output)
    command = start(*pretrain, log=tmp_path / "log")
    deadline = time.monotonic() + 60
    while not checkpoints(output) and time.monotonic() < deadline:
        time.sleep(0.005)
    resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))  # a checkpoint has more
    assert command.wait() == 2, command.text
    assert "Traceback" not in command.text
    assert "File too large\nThe output folder cannot be written to. What was finished is kept" in command.text
    assert not list(output.rglob("*.tmp"))
    assert checkpoints(output)
    command = start(*pretrain, log=tmp_path / "again")
    assert command.wait() == 0, command.text


# -- one thing each ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_sharded_checkpoint(tmp_path):
    import torch
    from torch.distributed.checkpoint import save

    path = tmp_path / "step=1.ckpt"
    save({"weight": torch.arange(100.0)}, checkpoint_id=path, no_dist=True)
    torch.save({"global_step": 1}, path / "meta.pt")
    assert damage(path) is None
    (shard,) = path.glob("*.distcp")
    content = shard.read_bytes()
    shard.write_bytes(content[:-50])
    assert damage(path) == f"{shard.name} is missing or cut short"
    shard.write_bytes(content)
    cut_short(path / "meta.pt")
    assert damage(path) is not None
    (path / ".metadata").unlink()
    assert damage(path) == "it was not written to its end: .metadata is missing"


def test_the_process_of_wandb_dies(config, tmp_path):
    output = tmp_path / "out"
    trace = (
        "trace",
        "--method",
        "untrac",
        "--config",
        config(),
        "--steps",
        "60",
        "--wandb.mode",
        "offline",
        "--output",
        output,
    )
    command = start(*trace, log=tmp_path / "log")
    command.wait_for("episode 1 of 3")
    killed = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = status.read_text().rpartition(")")
            if "wandb-core" in words[0] and int(words[2].split()[1]) == command.process.pid:
                os.kill(int(status.parent.name), signal.SIGKILL)
                killed += 1
    assert killed == 1
    assert command.wait() == 0, command.text
    assert "W&B failed" in command.text
    assert "Traceback" not in command.text
    assert len(InfluenceStore(output).finished_episodes("untrac")) == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("DataLoader worker (pid(s) 71, 72) exited unexpectedly"), "Set data.num_workers to 0"),
        (RuntimeError("DataLoader worker (pid 71) is killed by signal: Killed. "), "Set data.num_workers to 0"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "Lower data.batch_size"),
        (MemoryError(), "Lower data.batch_size"),
        (OSError(30, "Read-only file system"), "The output folder cannot be written to"),
        (RuntimeError("anything else"), None),
    ],
)
def test_advice(error, said):
    found = advice(error)
    assert found is None if said is None else said in found


def test_slurm_requeues_nothing_by_itself(monkeypatch):
    from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

    assert with_our_own_requeueing(None, None) is None
    for name, value in {"NTASKS": "1", "JOB_ID": "7", "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    (plugin,) = with_our_own_requeueing(None, "ddp")
    assert isinstance(plugin, SLURMEnvironment)
    assert not plugin.auto_requeue
    theirs = LightningEnvironment()
    assert with_our_own_requeueing([theirs], None) == [theirs]
