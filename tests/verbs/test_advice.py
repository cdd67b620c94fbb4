"""What a message says to do about a damaged file works: every such sentence is followed here."""

from __future__ import annotations

import json
import shutil

import pytest

from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.tables import InfluenceStore, equal_tables

WRONG = ["{", "5", "[]", '"text"', "null", "{}"]


@pytest.fixture
def rerun(run_copy, recipe, untrac):
    """Run the recipe of the finished run again in its copy."""
    return lambda *flags: untrac("run", recipe(), "--output", run_copy, *flags)


def influences(folder):
    return InfluenceStore(folder).table()


@pytest.mark.filterwarnings("ignore::lightning_untrac.runs.run_files.DamageWarning")
@pytest.mark.parametrize("content", WRONG[:2])
@pytest.mark.parametrize("name", ["run.json", "notes.json", "pretrain.json"])
def test_files_that_are_kept_twice(run_copy, name, content):
    folder = RunFolder(run_copy)
    otherwise = [] if name == "notes.json" else {}
    whole = (run_copy / name).read_text() if (run_copy / name).is_file() else "[]"
    (run_copy / name).write_text(content)
    if name != "notes.json" or (run_copy / ".untrac" / name).is_file():
        assert folder.read_json(name, otherwise) == json.loads(whole)
        assert (run_copy / name).read_text() == whole
        (run_copy / name).unlink()
        assert folder.read_json(name, otherwise) == json.loads(whole)


@pytest.mark.filterwarnings("ignore::lightning_untrac.runs.run_files.DamageWarning")
def test_a_recipe_goes_on_whatever_the_records_hold(run_copy, rerun, untrac):
    before, whole = influences(run_copy), json.loads((run_copy / "run.json").read_text())
    for number, content in enumerate(WRONG):
        for name in ("run.json", "notes.json", "pretrain.json", ".untrac/trace-untrac.done.json"):
            (run_copy / name).write_text(content)
        (run_copy / ".untrac" / "trace-untrac.data.json").write_text(content)
        (run_copy / ".untrac" / "trace-untrac_inv.claim.json").write_text(WRONG[number - 1])
        ran = untrac("report", "--output", run_copy) if number else rerun()
        assert ran.code == 0, ran.text
    assert rerun().code == 0
    assert equal_tables(influences(run_copy), before)
    after = json.loads((run_copy / "run.json").read_text())
    assert after["data"] == whole["data"]
    assert {cost["step"] for cost in after["costs"]} == {cost["step"] for cost in whole["costs"]}


@pytest.mark.filterwarnings("ignore::lightning_untrac.runs.run_files.DamageWarning")
def test_both_copies_are_damaged(run_copy, rerun):
    weights = (run_copy / "model" / "model.safetensors").read_bytes()
    for name in ("pretrain.json", ".untrac/pretrain.json", "run.json", ".untrac/run.json"):
        (run_copy / name).write_text("{")
    ran = rerun()
    assert ran.code == 0, ran.text
    assert (run_copy / "model" / "model.safetensors").read_bytes() == weights
    assert json.loads((run_copy / "pretrain.json").read_text())["steps"] == 4


def test_leave_out_says_what_mends_a_damaged_record(run_copy, rerun, untrac, config):
    for name in ("pretrain.json", ".untrac/pretrain.json"):
        (run_copy / name).write_text("[]")
    ran = untrac("leave-out", "--config", config(model={}), "--output", run_copy)
    assert ran.code == 2
    assert "it holds a list where a dict was expected" in ran.text
    assert "delete it, and the command that wrote it writes it again" in ran.text
    for name in ("pretrain.json", ".untrac/pretrain.json"):
        (run_copy / name).unlink()
    with pytest.warns(UserWarning, match=r"pretrain\.json is missing"):
        assert rerun().code == 0


@pytest.mark.parametrize("content", WRONG[:3])
def test_a_damaged_claim(run_copy, rerun, content):
    before = influences(run_copy)
    claim, done = (run_copy / ".untrac" / f"trace-untrac.{kind}.json" for kind in ("claim", "done"))
    claim.write_text(content)
    assert rerun().code == 0  # the mark of its end says the same
    claim.write_text(content)
    done.unlink()
    ran = rerun()
    assert ran.code == 2
    assert "add --overwrite to throw the results of 'trace-untrac' away" in " ".join(ran.text.split())
    ran = rerun("--overwrite")
    assert ran.code == 0, ran.text
    assert equal_tables(influences(run_copy), before)


def test_a_model_that_unlearn_made_is_gone(run_copy, untrac, config):
    unlearn = ("unlearn", "--config", config(model={}), "--output", run_copy, "--forget", "birds", "--steps", "1")
    assert untrac(*unlearn).code == 0
    model = run_copy / "unlearned-birds"
    weights = (model / "model.safetensors").read_bytes()
    shutil.rmtree(model)
    with pytest.warns(UserWarning, match="unlearned-birds is missing"):
        assert untrac(*unlearn).code == 0
    assert (model / "model.safetensors").read_bytes() == weights


def test_a_model_kept_on_the_way_is_damaged(untrac, config, recipe_content, tmp_path):
    pretrain = ("pretrain", "--config", config(model=recipe_content["model"]), "--output", tmp_path / "out",
                "--steps", "4", "--keep_models_at", "[2]", "--checkpoint_every", "3")  # fmt: skip
    assert untrac(*pretrain).code == 0
    weights = tmp_path / "out" / "models" / "step-2" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    trace = ("trace", "--config", config(model={}), "--output", tmp_path / "out", "--method", "tracin")
    refused = untrac(*trace)
    assert refused.code == 2
    assert "train again, or delete it" in " ".join(refused.text.split())
    with pytest.warns(UserWarning, match="step-2: model.safetensors is damaged"):
        assert untrac(*pretrain).code == 0
    assert weights.read_bytes() == whole
    assert untrac(*trace).code == 0
    assert "finished already" in untrac(*pretrain).text


def test_a_model_that_the_user_changed(run_copy, untrac, config):
    from safetensors.torch import load_file, save_file

    path = run_copy / "model" / "model.safetensors"
    save_file({name: weight + 0.01 for name, weight in load_file(path).items()}, path, {"format": "pt"})
    evaluate = ("evaluate", "--config", config(model={}), "--output", run_copy)
    refused = untrac(*evaluate)
    assert refused.code == 2
    assert "delete checksums.json, if you changed the folder yourself" in " ".join(refused.text.split())
    (run_copy / "model" / "checksums.json").unlink()
    assert untrac(*evaluate).code == 0


def test_tables_that_one_command_makes_anew(run_copy, untrac, config):
    evaluate = ("evaluate", "--config", config(model={}), "--output", run_copy)
    assert untrac(*evaluate).code == 0
    for name, command in (("comparison", ("compare", "--output", run_copy, "--num_resamples", 50)),
                          ("summary", evaluate), ("measurements", evaluate)):  # fmt: skip
        path = run_copy / f"{name}.parquet"
        whole = path.read_bytes()
        path.unlink()
        assert untrac(*command).code == 0
        assert path.read_bytes() == whole


@pytest.mark.filterwarnings("ignore::lightning_untrac.errors.DamageWarning")
@pytest.mark.parametrize("name", ["summary.parquet", "measurements.parquet"])
def test_what_unlearning_measured_is_computed_anew(untrac, config, tmp_path, name):
    output = tmp_path / "out"
    unlearn = ("unlearn", "--config", config(), "--output", output, "--forget", "birds", "--steps", "2")
    assert untrac(*unlearn).code == 0
    whole = (output / name).read_bytes()
    assert "finished already" in untrac(*unlearn).text
    (output / name).unlink()
    assert untrac(*unlearn).code == 0
    assert (output / name).read_bytes() == whole
    (output / name).write_bytes(whole[:100])
    assert untrac(*unlearn).code == 0
    assert (output / name).read_bytes() == whole


def test_a_checkpoint_of_another_cut_is_deleted(untrac, config, recipe_content, tmp_path):
    output = tmp_path / "out"
    train = ("pretrain", "--config", config(model=recipe_content["model"]), "--output", output, "--steps", "4")
    assert untrac(*train, "--checkpoint_every", "2").code == 0
    (output / ".untrac" / "pretrain.done.json").unlink()
    shutil.rmtree(output / "model")
    other = (*train, "--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2")
    refused = untrac(*other)
    assert refused.code == 2
    assert f"delete the folder {output / 'checkpoints' / 'pretrain'} to begin anew" in " ".join(refused.text.split())
    shutil.rmtree(output / "checkpoints" / "pretrain")
    assert untrac(*other).code == 0


@pytest.mark.parametrize("verb", ["trace", "pretrain"])
def test_a_folder_that_is_deleted_during_the_run(untrac, config, settings, recipe_content, tmp_path, verb):
    output = tmp_path / "out"
    delete = {"class_path": "deleting.DeleteFolder", "init_args": {"folder": str(output)}}
    model = {} if verb == "trace" else {"model": recipe_content["model"]}
    path = config(trainer={**settings["trainer"], "callbacks": [delete]}, **model)
    own = ("--method", "untrac") if verb == "trace" else ()
    ran = untrac(verb, *own, "--config", path, "--output", output, "--steps", "2")
    assert ran.code not in (0, None), ran.text
    assert "Traceback" not in ran.text
    assert "it was deleted or moved while the command ran" in " ".join(ran.text.split())
    again = untrac(verb, *own, "--config", config(**model), "--output", output, "--steps", "2")
    assert again.code == 0, again.text


def test_a_pipeline_fails_where_a_condition_is_met(untrac, config, run_copy):
    evaluate = ("evaluate", "--config", config(model={}), "--output", run_copy, "--measures", "loss")
    ran = untrac(*evaluate, "--fail_if", "loss < 0, loss.max/bread < 0")
    assert ran.code == 0, ran.text
    ran = untrac(*evaluate, "--fail_if", "loss.min/bread > 0")
    assert ran.code == 3
    assert "fail_if is met" in ran.text
    assert "loss.min/bread > 0: bread has" in ran.text
    assert "Loss" in ran.text  # what was measured is shown all the same
    ran = untrac(*evaluate, "--fail_if", '["los > 1", "loss/bred > 1"]')
    assert ran.code == 2
    assert "did you mean 'loss'" in ran.text
    assert "did you mean 'bread'" in ran.text
