"""W&B: everything of a run is in it, and no failure of W&B costs a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import wandb
import wandb_offline
import yaml
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

from lightning_untrac.cli import main
from lightning_untrac.loggers import SafeWandbLogger, WandbConfig, WandbNotice, make_loggers, wandb_mode
from lightning_untrac.tables import InfluenceStore

CORPORA, TEST_SETS = ("birds", "ships", "bread"), ("ask-birds", "ask-ships")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.fixture(scope="module")
def trace_config(text_files, model_folders, cache_folder, tmp_path_factory):
    def entries(names):
        return [{"name": name, "path": str(text_files[name])} for name in names]

    content = {
        "model": {"name_or_path": model_folders("llama")},
        "data": {
            "corpora": entries(CORPORA),
            "test_sets": entries(TEST_SETS),
            "batch_size": 4,
            "cache_folder": cache_folder,
        },
        "trainer": {"accelerator": "cpu"},
        "steps": 3,
        "wandb": {"project": "test"},
    }
    path = tmp_path_factory.mktemp("wandb") / "trace.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def logged(trace_config, tmp_path_factory, model_folders):
    """The output folder and the offline runs of a trace with two seeds, leave-out and compare."""
    output = tmp_path_factory.mktemp("logged") / "experiment"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        common = ["--config", str(trace_config), "--output", str(output)]
        assert main(["trace", "--method", "untrac", *common, "--readings", "3", "--seeds", "[0,1]"]) == 0
        assert main(["leave-out", *common, "--trained_model", model_folders("llama")]) == 0
        assert main(["compare", "--output", str(output), "--num_resamples", "20", "--wandb.project", "test"]) == 0
    return output, wandb_offline.offline_runs(output)


def test_two_seeds_are_two_runs_of_one_group(logged):
    output, runs = logged
    first, second = runs[:2]
    assert [run.name for run in runs[:2]] == ["untrac seed 0", "untrac seed 1"]
    assert {run.group for run in runs} == {output.name}
    assert [run.job_type for run in runs] == ["trace-untrac", "trace-untrac", "leave-out", "compare"]
    keys = [{key for row in run.history for key in row} for run in (first, second)]
    assert keys[0] == keys[1]


def test_the_configuration_is_there(logged):
    config = logged[1][0].config
    assert config["steps"] == 3
    assert config["data"]["corpora"][0]["name"] == "birds"
    assert config["trainer"]["accelerator"] == "cpu"
    assert "Unlearning" in config["model"]["class_path"]


def test_curves_are_those_of_the_table_on_the_axis_of_the_episode(logged):
    output, runs = logged
    rows = [row for row in InfluenceStore(output).rows() if row.method == "untrac"]
    assert len(rows) == 2 * 3 * 3 * 2
    for seed, run in enumerate(runs[:2]):
        assert run.metrics["influence/*"] == run.metrics["loss/*"] == "episode_step"
        for corpus in CORPORA:
            for test_set in TEST_SETS:
                mine = [r for r in rows if (r.corpus, r.test_set, r.seed) == (corpus, test_set, seed)]
                key = f"{test_set}/{corpus}"
                influences = [(0, 0), *((r.step, r.influence) for r in mine)]
                losses = [(0, mine[0].loss_before), *((r.step, r.loss_after) for r in mine)]
                assert run.curve(f"influence/{key}", "episode_step") == influences
                assert run.curve(f"loss/{key}", "episode_step") == losses


def test_the_matrix_is_a_table_and_a_picture(logged):
    output, runs = logged
    table = runs[0].table("matrix/untrac")
    assert table["columns"] == ["corpus", *TEST_SETS]
    assert [row[0] for row in table["data"]] == list(CORPORA)
    final = {(r.corpus, r.test_set): r.influence for r in InfluenceStore(output).rows()
             if r.final and r.seed == 0 and r.method == "untrac"}  # fmt: skip
    for row in table["data"]:
        assert row[1:] == pytest.approx([final[row[0], name] for name in TEST_SETS])
    assert runs[0].picture("plots/matrix_untrac").read_bytes().startswith(b"\x89PNG")


def test_the_comparison_is_a_table(logged):
    output, runs = logged
    assert "part_weights" not in runs[-1].table("tables/influence")["columns"]  # 64 numbers a cell
    table = runs[-1].table("tables/comparison")
    comparison = pq.read_table(output / "comparison.parquet")
    assert table["columns"] == comparison.column_names
    assert len(table["data"]) == comparison.num_rows


def test_result_files_are_an_artifact(logged):
    output, runs = logged
    for run in runs[:3]:
        files = run.artifacts[f"results-{output.name}"]
        assert {"influence.parquet", "run.json"} <= set(files)
    assert "comparison.parquet" in runs[-1].artifacts[f"results-{output.name}"]


def test_without_a_key_it_is_offline_and_says_how_to_sync(trace_config, tmp_path, capsys):
    assert wandb_mode("auto") == "offline"
    assert (
        main(
            [
                "trace",
                "--method",
                "untrac",
                "--config",
                str(trace_config),
                "--output",
                str(tmp_path / "out"),
                "--steps",
                "1",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    folder = said.partition("wandb sync ")[2].split("\n")[0]
    assert list(Path(folder).glob("run-*.wandb"))


def test_the_mode_of_the_environment_counts(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode("auto") == "disabled"
    assert wandb_mode("offline") == "offline"


def test_a_key_without_a_network_is_offline(monkeypatch):
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr("lightning_untrac.loggers._base_url", lambda: "http://127.0.0.1:9")
    assert wandb_mode("auto") == "offline"


def _fails(*args, **kwargs):
    raise RuntimeError("W&B is down")


@pytest.mark.parametrize("broken", ["init", "login", "log", "define_metric", "log_artifact", "finish"])
def test_a_failure_costs_nothing_but_a_warning(monkeypatch, trace_config, tmp_path, broken):
    from wandb.sdk.wandb_run import Run

    plain = tmp_path / "plain"
    common = ["trace", "--method", "untrac", "--config", str(trace_config), "--steps", "2", "--output"]
    assert main([*common, str(plain), "--wandb.mode", "disabled"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(wandb if broken in ("init", "login") else Run, broken, _fails)
        with pytest.warns(WandbNotice, match="W&B is down"):
            assert main([*common, str(tmp_path / "broken")]) == 0
    if wandb.run is not None:
        wandb.finish()
    influences = [[r.influence for r in InfluenceStore(folder).rows()] for folder in (plain, tmp_path / "broken")]
    assert influences[0] == influences[1]


@pytest.mark.parametrize("error", [ConnectionResetError, MailboxClosedError, HandleAbandonedError, RuntimeError])
def test_a_service_that_died_is_let_go_and_ends_nothing(monkeypatch, tmp_path, error):
    """W&B's own teardown may end the program with the exit code of its service."""
    asked = []

    def teardown():
        asked.append(error)
        raise SystemExit(-9)

    def dies(*args, **kwargs):
        raise error

    logger = make_loggers(WandbConfig(mode="offline"), tmp_path, "trace", "a run", {})[1]
    monkeypatch.setattr(wandb, "teardown", teardown)
    monkeypatch.setattr(wandb, "init", dies)
    with pytest.warns(WandbNotice, match=error.__name__):
        logger.log_metrics({"a": 1.0}, step=0)
    assert asked == ([] if error is RuntimeError else [error])  # a service that lives goes on to send what it has


def test_after_a_failure_nothing_more_is_sent(monkeypatch, tmp_path):
    logger = make_loggers(WandbConfig(mode="offline"), tmp_path, "trace", "a run", {"x": 1})[1]
    assert isinstance(logger, SafeWandbLogger)
    monkeypatch.setattr(wandb, "init", _fails)
    with pytest.warns(WandbNotice, match="the run goes on without it"):
        logger.log_metrics({"a": 1.0}, step=0)
    assert logger.failed
    logger.log_metrics({"a": 2.0}, step=1)
    logger.experiment.define_metric("a").anything("goes")
    logger.log_matrix("m", ["a"], [[1]])
    logger.finish()
