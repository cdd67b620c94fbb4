"""A run is what its files hold: moved, copied or spelled otherwise it is the same one, edited it is another."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import yaml

from lightning_untrac.runs.differences import different_keys
from lightning_untrac.runs.run_folder import RunFolder, stages

STAGES = [
    {"pretrain": {"steps": 2}},
    {"trace": {"method": "untrac", "steps": 1, "readings": 1}},
    {"leave-out": None},
]


@pytest.fixture(scope="module")
def project(tmp_path_factory, recipe_content, text_files, untrac):
    """A folder with data, recipe and finished run, all of whose paths are relative to it."""
    folder = tmp_path_factory.mktemp("project")
    content = json.loads(json.dumps(recipe_content))
    for entry in content["data"]["corpora"] + content["data"]["test_sets"]:
        shutil.copy(text_files[entry["name"]], folder)
        entry["path"] = f"{entry['name']}.jsonl"
    content |= {"output": "run", "stages": STAGES}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    there = os.getcwd()
    os.chdir(folder)
    try:
        ran = untrac("run", "recipe.yaml")
    finally:
        os.chdir(there)
    assert ran.code == 0, ran.text
    return folder


@pytest.fixture
def copy(project, tmp_path, monkeypatch):
    """A copy of the project, with other times, in which this process works."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(project, folder, copy_function=shutil.copyfile)
    monkeypatch.chdir(folder)
    return folder


def with_paths(folder, change):
    """Change the paths of the recipe's data."""
    content = yaml.safe_load((folder / "recipe.yaml").read_text())
    for entry in content["data"]["corpora"] + content["data"]["test_sets"]:
        entry["path"] = str(change(entry["path"]))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))


def skipped(ran):
    assert ran.code == 0, ran.text
    return ran.text.count("finished already") == len(STAGES)


def test_copied(copy, untrac):
    assert skipped(untrac("run", "recipe.yaml"))
    # The second time nothing has to be read: the record knows the files where they are now.
    record = RunFolder("run").data_record("pretrain")
    assert record["corpora.0"]["files"][0]["path"] == str(copy / "birds.jsonl")


def test_absolute_paths(copy, untrac):
    with_paths(copy, lambda path: copy / path)
    assert skipped(untrac("run", copy / "recipe.yaml", "--output", copy / "run"))


def test_an_unfinished_step_goes_on_after_a_move(copy, untrac):
    with_paths(copy, lambda path: copy / path)
    (copy / "run" / ".untrac" / "trace-untrac.done.json").unlink()
    ran = untrac("run", copy / "recipe.yaml", "--output", copy / "run", "--seeds", "[0,1]")
    assert ran.code == 0, ran.text


def test_an_edited_file_is_named(copy, untrac):
    with (copy / "birds.jsonl").open("a") as file:
        file.write('{"text": "one more heron"}\n')
    ran = untrac("run", "recipe.yaml")
    assert ran.code == 2, ran.text
    plain = " ".join(ran.text.split())
    assert "'pretrain' that were made from other data (birds: birds.jsonl has changed since)" in plain
    assert "ships" not in plain
    again = untrac("run", "recipe.yaml", "--overwrite")
    assert again.code == 0, again.text
    assert "finished already" not in again.text


def test_an_edit_that_changes_no_text(copy, untrac):
    rows = (copy / "birds.jsonl").read_text().splitlines()
    more = [json.dumps({**json.loads(row), "origin": "a column that nobody reads"}) for row in rows]
    (copy / "birds.jsonl").write_text("\n".join(more))
    assert skipped(untrac("run", "recipe.yaml"))


def test_data_that_are_gone(copy, untrac):
    for file in copy.glob("*.jsonl"):
        file.unlink()
    ran = untrac("run", "recipe.yaml")
    assert skipped(ran)
    assert "can't look whether its data are still the same; not there: birds (birds.jsonl), ships" in ran.text


def test_another_path_to_nothing(copy, untrac):
    with_paths(copy, lambda path: f"typo-{path}")
    ran = untrac("run", "recipe.yaml")
    assert ran.code == 2
    assert "typo-birds.jsonl" in ran.text


def test_a_run_without_a_record_of_its_data(copy, untrac):
    for record in (copy / "run" / ".untrac").glob("*.data.json"):
        record.unlink()
    assert skipped(untrac("run", "recipe.yaml"))


def test_what_began_from_a_moved_model_goes_with_it(copy, untrac):
    ran = untrac("run", "recipe.yaml", "--pretrain.steps", "3", "--overwrite")
    assert ran.code == 0, ran.text
    assert "finished already" not in ran.text
    assert stages("run") == {"leave-out": True, "pretrain": True, "trace-untrac": True}


def test_places_and_contents():
    a = {"model.init_args.name_or_path": "x/model", "model_files": "1", "data.corpora.0.path": "a"}
    moved = {"model.init_args.name_or_path": "y/model", "model_files": "1", "data.corpora.0.path": "./a"}
    assert different_keys(a, moved) == []
    assert different_keys(a, {**moved, "model_files": "2"}) == ["model_files"]
    assert different_keys(a, {**moved, "data.corpora.0.path": "b"}) == ["data.corpora.0.path"]
    read = {"data_content.birds": "1"}
    assert different_keys({**a, **read}, {**moved, **read, "data.corpora.0.path": "b"}) == []
    assert different_keys({**a, **read}, {**moved, "data_content.birds": "2"}) == ["data_content.birds"]
    # A model of the hub is told apart by its name.
    assert different_keys({"model.init_args.name_or_path": "gpt2"}, moved | {"data.corpora.0.path": None}) != []
    assert different_keys({"seeds.0": 0}, {"seeds.0": 0, "seeds.1": 1}, more_seeds=True) == []


def test_stages_that_are_not_finished(copy, untrac):
    (copy / "run" / ".untrac" / "leave-out.done.json").unlink()
    assert stages(copy / "run") == {"leave-out": False, "pretrain": True, "trace-untrac": True}
