"""Shards of a job array: joined they are the unsharded run, and nothing that does not belong together is joined."""

from __future__ import annotations

import json
import shutil
import signal

import pytest
import yaml
from processes import start

from lightning_untrac.tables import InfluenceStore, equal_tables

TRACE = ("--steps", "2", "--readings", "2", "--seeds", "[0,1]")


def tables_equal(one, other):
    tables = [InfluenceStore(folder).table().drop_columns(["seconds"]) for folder in (one, other)]
    return tables[0].num_rows > 0 and equal_tables(*tables)


@pytest.fixture
def shard(untrac, config, tmp_path):
    """Run shards of a small trace (or of another command) in ``out``."""
    path = config()

    def run(*names, command=("trace", "--method", "untrac", *TRACE), more=()):
        for name in names:
            ran = untrac(
                command[0], "--config", path, "--output", tmp_path / "out", *command[1:], "--shard", name, *more
            )
            assert ran.code == 0, ran.text
        return ran

    run.config = path
    return run


@pytest.mark.parametrize(
    "command",
    [
        ("trace", "--method", "untrac", *TRACE),
        ("trace", "--method", "untrac_inv", "--examples", "--steps", "2", "--seeds", "[0,1]"),
    ],
    ids=["untrac", "untrac_inv"],
)
def test_joined_shards_are_the_unsharded_trace(untrac, shard, tmp_path, command):
    shard("2/3", "1/3", "3/3", command=command)
    assert not (tmp_path / "out" / "influence.parquet").exists()
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    assert "ask-birds" in ran.text
    unsharded = untrac(command[0], "--config", shard.config, "--output", tmp_path / "whole", *command[1:])
    assert unsharded.code == 0, unsharded.text
    assert tables_equal(tmp_path / "out", tmp_path / "whole")
    examples = [InfluenceStore(tmp_path / name).examples() for name in ("out", "whole")]
    assert equal_tables(*examples)
    assert (examples[0].num_rows > 0) == ("--examples" in command)
    # The matrix that merge prints is the one that the unsharded trace prints.
    assert ran.text.split("UnTrac")[1].split("table:")[0] == unsharded.text.split("UnTrac")[1].split("table:")[0]


def test_the_whole_counts_as_finished(untrac, shard, tmp_path):
    shard("1/2", "2/2")
    costs = [
        json.loads((tmp_path / "out" / "shards" / "trace-untrac" / name / "run.json").read_text())["costs"][0]
        for name in ("1-of-2", "2-of-2")
    ]
    assert untrac("merge", "--output", tmp_path / "out").code == 0
    table = InfluenceStore(tmp_path / "out").table()
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["costs"][0]["seconds"] == pytest.approx(sum(cost["seconds"] for cost in costs), abs=0.011)
    assert run["costs"][0]["peak_memory_mb"] == max(cost["peak_memory_mb"] for cost in costs)
    assert {data["name"] for data in run["data"]} >= {"birds", "ask-ships"}
    assert "Which of 3 corpora" in run["asked"]
    again = untrac("trace", "--method", "untrac", "--config", shard.config, "--output", tmp_path / "out", *TRACE)
    assert "finished already" in again.text
    assert "finished already" in shard("1/2").text
    assert untrac("merge", "--output", tmp_path / "out").code == 0
    assert equal_tables(table, InfluenceStore(tmp_path / "out").table())
    assert untrac("report", "--output", tmp_path / "out").code == 0
    refused = untrac(
        "trace", "--method", "untrac", "--config", shard.config, "--output", tmp_path / "out", *TRACE, "--steps", "3"
    )
    assert "steps: 2 there, 3 now" in refused.text


def test_leave_out_in_shards(untrac, config, finished_run, run_copy, tmp_path):
    start_at = {"name_or_path": str(finished_run / "initial_model")}
    leave_out = ["leave-out", "--config", config(model=start_at), "--output", run_copy, "--readings", "2"]
    whole = ["--output", tmp_path / "whole", "--trained_model", str(finished_run / "model"), "--steps", "4"]
    ran = untrac(*leave_out, *whole)
    assert ran.code == 0, ran.text
    shutil.rmtree(run_copy / "episodes")
    (run_copy / "influence.parquet").unlink()
    for name in ("1/2", "2/2"):
        ran = untrac(*leave_out, "--shard", name, "--overwrite")
        assert ran.code == 0, ran.text
    ran = untrac("merge", "--output", run_copy, "--overwrite")
    assert ran.code == 0, ran.text
    assert tables_equal(run_copy, tmp_path / "whole")


def test_more_shards_than_episodes(untrac, shard, tmp_path):
    command = ("trace", "--method", "untrac", "--steps", "2")
    shard("1/4", "2/4", "3/4", command=command)
    assert "none is left for this shard" in shard("4/4", command=command).text
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    assert "4 shards, 3 episodes" in ran.text


@pytest.mark.parametrize("value", ["0/4", "5/4", "x", "2-4", "1/0", "/", "1/2/3", "-1/4", "1.0/2"])
def test_shards_that_are_none(untrac, config, tmp_path, value):
    ran = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        config(),
        "--output",
        tmp_path / "out",
        f"--shard={value}",
        "--steps",
        "0",
    )
    assert ran.code == 2
    assert f"shard: {value!r}" in ran.text
    assert "steps: 0" in ran.text  # with all other problems
    assert not (tmp_path / "out" / "shards").exists()


def test_merge_names_everything_that_is_wrong(untrac, shard, tmp_path):
    shard("1/4", "3/4", command=("trace", "--method", "untrac", "--steps", "2"))
    folder = tmp_path / "out" / "shards" / "trace-untrac"
    (folder / "3-of-4" / ".untrac" / "trace-untrac.done.json").unlink()
    shutil.rmtree(folder / "3-of-4" / "episodes")
    (folder / "3-of-4" / "influence.parquet").unlink()
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "shard 2/4, 4/4 missing; run: untrac" in ran.text
    assert "--shard 2/4 and so on" in ran.text
    assert "shard 3/4 is not finished (0 of 1 episode); run: untrac" in ran.text
    assert not (tmp_path / "out" / "influence.parquet").exists()


def test_a_damaged_shard_is_not_joined(untrac, shard, tmp_path):
    command = ("trace", "--method", "untrac", "--steps", "2")
    shard("1/2", "2/2", command=command)
    path = tmp_path / "out" / "shards" / "trace-untrac" / "2-of-2" / "episodes/influence/untrac/ships-seed-0.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "shard 2/2" in ran.text
    assert "ships-seed-0.parquet cannot be read" in ran.text
    assert not (tmp_path / "out" / "influence.parquet").exists()
    with pytest.warns(UserWarning, match=r"ships-seed-0.parquet was damaged"):
        shard("2/2", command=command)
    assert untrac("merge", "--output", tmp_path / "out").code == 0


def test_shards_of_other_settings_are_not_joined(untrac, shard, tmp_path):
    shard("1/2", command=("trace", "--method", "untrac", "--steps", "2"))
    shard("2/2", command=("trace", "--method", "untrac", "--steps", "3", "--seeds", "[0,1]"))
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "seeds.1: None and 1; steps: 2 and 3" in ran.text


def test_shards_of_other_numbers_are_not_joined(untrac, shard, tmp_path):
    shard("1/2", "1/3", command=("trace", "--method", "untrac", "--steps", "2"))
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 2
    assert "there are shards of 2 and of 3" in ran.text


def test_rows_of_another_configuration_stay(untrac, shard, tmp_path):
    shard("1/1", command=("trace", "--method", "untrac", "--steps", "2"))
    untrac("trace", "--method", "untrac", "--config", shard.config, "--output", tmp_path / "elsewhere", "--steps", "3")
    refused = untrac("merge", "--output", tmp_path / "elsewhere", "--shards", tmp_path / "out")
    assert refused.code == 2
    assert "steps: 3 there, 2 now" in refused.text
    refused = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        shard.config,
        "--output",
        tmp_path / "elsewhere",
        "--steps",
        "2",
        "--shard=1/2",
    )
    assert "steps: 3 there, 2 now" in refused.text
    ran = untrac("merge", "--output", tmp_path / "elsewhere", "--shards", tmp_path / "out", "--overwrite")
    assert ran.code == 0, ran.text
    assert {row.step for row in InfluenceStore(tmp_path / "elsewhere").rows() if row.final} == {2}


def test_shards_from_two_machines(untrac, shard, tmp_path):
    shard("1/2", "2/2")
    parts = tmp_path / "out" / "shards" / "trace-untrac"
    shutil.move(parts / "1-of-2", tmp_path / "one")
    shutil.move(parts / "2-of-2", tmp_path / "copied" / "2-of-2")
    ran = untrac("merge", "--output", tmp_path / "out")
    assert "there are none" in ran.text
    ran = untrac("merge", "--output", tmp_path / "new", "--shards", tmp_path / "one", tmp_path / "copied")
    assert ran.code == 0, ran.text
    assert len(InfluenceStore(tmp_path / "new").finished_episodes("untrac")) == 6


def test_shards_of_a_model_that_was_trained_anew(untrac, config, finished_run, run_copy):
    trace = [
        "trace",
        "--method",
        "untrac",
        "--config",
        config(model={}),
        "--output",
        run_copy,
        "--steps",
        "1",
        "--overwrite",
    ]
    assert untrac(*trace, "--shard", "1/1").code == 0
    (run_copy / "model" / "checksums.json").unlink(missing_ok=True)
    shutil.copy(run_copy / "initial_model" / "model.safetensors", run_copy / "model" / "model.safetensors")
    ran = untrac("merge", "--output", run_copy, "--overwrite")
    assert ran.code == 2
    assert "is another model than when the shards were run" in ran.text


def test_a_whole_trace_beside_shards(untrac, shard, tmp_path):
    shard("1/2")
    ran = untrac("trace", "--method", "untrac", "--config", shard.config, "--output", tmp_path / "out", *TRACE)
    assert ran.code == 0, ran.text
    assert len(InfluenceStore(tmp_path / "out").finished_episodes("untrac")) == 6


def test_fast_dev_run(shard, tmp_path):
    assert "stored nothing" in shard("1/2", more=("--trainer.fast_dev_run", "true")).text
    assert not (tmp_path / "out").exists()


def test_recipes_have_no_shards(untrac, recipe, tmp_path):
    ran = untrac("run", recipe(), "--output", tmp_path / "out", "--trace.shard", "1/2")
    assert ran.code == 2
    assert "stage 2 (trace): shard: 1/2; a recipe runs whole stages" in ran.text
    ran = untrac("run", recipe(stages=[{"merge": None}]), "--output", tmp_path / "out")
    assert "stage 1 is 'merge'" in ran.text


def test_shard_in_help_and_suggestions(untrac, config, tmp_path):
    assert "--shard" in untrac("trace", "--help").text
    assert "shard: null" in untrac("leave-out", "--output", "x", "--print_config").text
    assert (
        "did you mean 'shard'?"
        in untrac("trace", "--method", "untrac", "--config", config(), "--output", tmp_path, "--shrad=1/2").text
    )


@pytest.mark.slow
def test_a_killed_shard_goes_on(untrac, shard, tmp_path):
    """Both at the same moment on one disk; one is killed in the middle and run again."""
    trace = ["trace", "--method", "untrac", "--config", shard.config, "--steps", "40", "--readings", "2", "--output"]
    shards = [
        start(*trace, tmp_path / "out", "--shard", name, log=tmp_path / f"log-{name[0]}") for name in ("1/2", "2/2")
    ]
    shards[0].wait_for("episode 2 of 2")
    shards[0].signal(signal.SIGKILL)
    assert shards[0].wait() == -signal.SIGKILL
    assert shards[1].wait() == 0, shards[1].text
    refused = untrac("merge", "--output", tmp_path / "out")
    assert "shard 1/2 is not finished (1 of 2 episodes)" in refused.text
    assert "--shard 1/2" in refused.text
    again = untrac(*trace, tmp_path / "out", "--shard", "1/2")
    assert again.code == 0, again.text
    assert "birds, episode" not in again.text
    assert untrac("merge", "--output", tmp_path / "out").code == 0
    assert untrac(*trace, tmp_path / "whole").code == 0
    assert tables_equal(tmp_path / "out", tmp_path / "whole")


def test_the_configuration_of_the_whole_reruns_it(untrac, shard, tmp_path):
    shard("1/1")
    assert untrac("merge", "--output", tmp_path / "out").code == 0
    written = tmp_path / "out" / "trace-untrac.yaml"
    assert yaml.safe_load(written.read_text())["shard"] is None
    assert "finished already" in untrac("trace", "--config", written).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": "../../x"}, "its step '../../x' is no name of a step"),
        ({"method": "../x"}, "its method '../x' is no name of a method"),
        ({"episodes": [["../../x", 0]]}, "its list of episodes is none of names and seeds"),
        ({"count": "2"}, "it says that it is shard 1 of '2'"),
        ({"number": 3}, "it says that it is shard 3 of 1"),
        ({"episode_key": "seed"}, "its episodes run over 'seed'"),
        ({"step": None}, "its step None is no name"),
        (None, "it has no step, method"),
    ],
)
def test_what_a_card_names_never_leads_out_of_the_folder(untrac, tmp_path, changes, said):
    own = tmp_path / "out" / "shards" / "trace-untrac" / "1-of-1"
    (own / ".untrac").mkdir(parents=True)
    (tmp_path / "out" / ".untrac").mkdir()
    card = {"step": "trace-untrac", "number": 1, "count": 1, "method": "untrac", "episode_key": "corpus"}
    card["episodes"] = [["birds", 0]]
    (own / "shard.json").write_text(json.dumps({} if changes is None else {**card, **changes}))
    ran = untrac("merge", "--output", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.text
    assert "Traceback" not in ran.text
    assert not list(tmp_path.rglob("x.yaml"))
