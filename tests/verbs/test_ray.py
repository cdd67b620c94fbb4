"""Episodes as tasks on a local Ray with 2 workers: lost workers, failed episodes, a killed command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import psutil
import pytest
import yaml
from processes import start

from lightning_untrac.tables import InfluenceStore, equal_tables

pytestmark = pytest.mark.slow

LONG = ("--steps", "60", "--readings", "2")


def tables_equal(one, other):
    tables = [InfluenceStore(folder).table().drop_columns(["seconds"]) for folder in (one, other)]
    return tables[0].num_rows > 0 and equal_tables(*tables)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of 2 CPUs on this machine: the variables by which a command joins it."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        context = ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**28
        )
        # Its token is in this process' environment, and not in that of the server from which commands are forked.
        theirs = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        yield {**theirs, "RAY_ADDRESS": context.address_info["address"]}
        ray.shutdown()


def a_busy_worker(seconds=60):
    """A worker of this process' cluster that is in the middle of an episode."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "".join(process.cmdline()).startswith("ray::run_episode"):
                    return process
        time.sleep(0.02)
    raise TimeoutError("no worker of Ray runs an episode")


def test_a_killed_worker_and_the_unsharded_table(untrac, config, cluster, tmp_path):
    path = config()
    trace = ["trace", "--method", "untrac", "--config", path, *LONG, "--seeds", "[0,1]", "--output"]
    command = start(*trace, tmp_path / "ray", "--ray", log=tmp_path / "log", **cluster)
    # Workers import for seconds before their first episode; later ones are in the middle of it soon.
    command.wait_for("finished, episode 2 of 6")
    time.sleep(0.3)
    a_busy_worker().send_signal(signal.SIGKILL)
    assert command.wait() == 0, command.text
    assert "it begins again, retry 1 of 3" in command.text
    assert "finished, episode 6 of 6" in command.text
    assert untrac(*trace, tmp_path / "here").code == 0
    assert tables_equal(tmp_path / "ray", tmp_path / "here")
    assert "finished already" in untrac(*trace, tmp_path / "ray").text


def test_a_killed_command_goes_on(untrac, config, cluster, tmp_path):
    trace = ["trace", "--config", config(), "--method", "untrac_inv", "--examples", "--steps", "30", "--seeds", "[0,1]"]
    command = start(*trace, "--output", tmp_path / "ray", "--ray", log=tmp_path / "log", **cluster)
    command.wait_for("finished, episode 1 of 4")
    command.signal(signal.SIGKILL)
    command.wait()
    done = InfluenceStore(tmp_path / "ray").finished_episodes("untrac_inv", "test_set")
    again = untrac(*trace, "--output", tmp_path / "ray", "--ray")
    assert again.code == 0, again.text
    assert again.text.count("finished, episode") <= 4 - len(done) < 4
    assert untrac(*trace, "--output", tmp_path / "here").code == 0
    assert tables_equal(tmp_path / "ray", tmp_path / "here")
    assert equal_tables(*(InfluenceStore(tmp_path / name).examples() for name in ("ray", "here")))


def test_a_signal_ends_the_command_cleanly(config, cluster, tmp_path):
    trace = ["trace", "--method", "untrac", "--config", config(), *LONG, "--output", tmp_path / "out", "--ray"]
    command = start(*trace, log=tmp_path / "log", **cluster)
    command.wait_for("finished, episode 1 of 3")
    command.signal(signal.SIGTERM)
    assert command.wait() == 143, command.text
    assert "ended by SIGTERM; what was finished is kept" in command.text
    assert "received at time" not in command.text  # Ray's own handler, with a stack


def test_leave_out_on_ray(untrac, config, finished_run, cluster, tmp_path):
    start_at = {"name_or_path": str(finished_run / "initial_model")}
    command = ["leave-out", "--config", config(model=start_at), "--trained_model", finished_run / "model"]
    command += ["--steps", "4", "--readings", "2", "--output"]
    ran = untrac(*command, tmp_path / "ray", "--ray.cpus_per_episode", "1")
    assert ran.code == 0, ran.text
    assert untrac(*command, tmp_path / "here").code == 0
    assert tables_equal(tmp_path / "ray", tmp_path / "here")


MODULE = """
from lightning_untrac import Unlearning

class Fails(Unlearning):
    def objective(self, seen):
        if self.trainer.datamodule.current_episode.dataset == "ships":
            raise ZeroDivisionError("ships sink\\nand more")
        return super().objective(seen)
"""


def test_a_failed_episode_ends_no_other(untrac, config, model_folders, cluster, tmp_path, monkeypatch):
    (tmp_path / "failing_phase.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = {"class_path": "failing_phase.Fails", "init_args": {"name_or_path": model_folders("llama")}}
    ran = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        config(model=model),
        "--output",
        tmp_path / "out",
        "--steps",
        "2",
        "--ray",
    )
    sys.modules.pop("failing_phase", None)
    assert ran.code == 2, ran.text
    assert "1 episode failed:\n  - ships (seed 0): ZeroDivisionError: ships sink\n" in ran.text
    assert "Traceback" not in ran.text
    assert "in objective" in (tmp_path / "out" / "logs" / "failed-ships-seed-0.txt").read_text()
    assert InfluenceStore(tmp_path / "out").finished_episodes("untrac") == {("birds", 0), ("bread", 0)}


def test_no_machine_is_large_enough(untrac, config, cluster, tmp_path):
    ran = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        config(),
        "--output",
        tmp_path / "out",
        "--ray.cpus_per_episode",
        "64",
    )
    assert ran.code == 2
    assert "an episode asks for 64 CPUs and 0 GPUs" in ran.text


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ray", "--trainer.devices", "2"], "trainer.devices: 2; with --ray an episode runs on one device"),
        (["--ray", "--trainer.num_nodes", "2"], "trainer.num_nodes: 2; with --ray"),
        (["--ray", "--shard", "1/2"], "ray and shard: give one of the two"),
        (["--ray.max_retries", "-1"], "ray.max_retries: -1"),
        (["--ray.cpus_per_episode", "1.5"], "ray.cpus_per_episode: 1.5"),
        (["--ray.gpus_per_episode", "2"], "ray.gpus_per_episode: 2"),
        (["--ray.adress", "x"], "did you mean 'address'?"),
    ],
)
def test_bad_options(untrac, config, tmp_path, flags, said):
    ran = untrac("trace", "--method", "untrac", "--config", config(), "--output", tmp_path / "out", *flags)
    assert ran.code == 2
    assert said in ran.text
    assert not (tmp_path / "out" / "influence.parquet").exists()


def test_ray_that_is_not_installed(untrac, config, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_untrac.fanout.ray_options.find_spec", lambda name: None)
    ran = untrac(
        "trace", "--method", "untrac", "--config", config(), "--output", tmp_path / "out", "--ray", "--steps", "0"
    )
    assert ran.code == 2
    assert "pip install 'lightning-untrac[ray]' -c constraints.txt" in ran.text
    assert "steps: 0" in ran.text


@pytest.mark.parametrize(
    ("content", "flags", "expected"),
    [
        ({}, ["--ray"], None),
        ({"ray": True}, [], None),
        ({"ray": {"cpus_per_episode": 2}}, ["--ray"], 2.0),
        ({}, ["--ray.cpus_per_episode", "2", "--ray"], 2.0),
    ],
)
def test_ways_to_ask_for_ray(config, tmp_path, content, flags, expected):
    from lightning_untrac.verbs.trace import arguments

    options = arguments(["--config", str(config(**content)), "--output", str(tmp_path), *flags]).options
    assert options.ray.cpus_per_episode == expected
    assert options.ray.max_retries == 3


def test_ray_in_a_recipe(recipe_content):
    from lightning_untrac.config.recipes import resolve_stages

    steps = resolve_stages(recipe_content, ["--trace.ray", "--leave-out.ray.cpus_per_episode", "1"])
    asked = {stage.verb: stage.config.get("ray") for stage in steps}
    assert asked["trace"] is True
    assert asked["leave-out"] == {"cpus_per_episode": 1}
    assert yaml.safe_dump(asked)
