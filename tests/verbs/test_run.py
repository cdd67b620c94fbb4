"""``untrac run``: all steps checked first, finished ones skipped, others refused, --overwrite thorough."""

from __future__ import annotations

import json
import math
import shutil
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file, save_file

from lightning_untrac.config.method_lists import merge
from lightning_untrac.config.recipes import parse_flags
from lightning_untrac.tables import InfluenceStore, equal_tables, read_table


def test_a_whole_recipe(finished_run):
    names = {path.name for path in finished_run.iterdir()}
    assert {"config.yaml", "influence.parquet", "comparison.parquet", "report.html", "plots", "model"} <= names
    table = InfluenceStore(finished_run).table()
    assert set(table["method"].to_pylist()) == {"untrac", "untrac_inv", "leave_out"}
    costs = [cost["step"] for cost in json.loads((finished_run / "run.json").read_text())["costs"]]
    assert costs == ["pretrain", "trace-untrac", "trace-untrac_inv", "leave-out", "compare", "report"]


def test_the_report_quotes_texts_of_every_dataset(finished_run, text_files):
    data = json.loads((finished_run / "run.json").read_text())["data"]
    for entry in data:
        assert len(entry["texts"]) == 3
        assert entry["texts"][0].rstrip("\u2026") in text_files[entry["name"]].read_text()
    assert "Some texts of each" in (finished_run / "report.html").read_text()


def test_finished_steps_are_skipped_in_place(untrac, recipe, finished_run):
    before = InfluenceStore(finished_run).table()
    ran = untrac("run", recipe(), "--output", finished_run)
    assert ran.code == 0, ran.text
    assert ran.text.count("finished already") == 4
    assert equal_tables(before, InfluenceStore(finished_run).table())


def test_other_settings_are_refused_with_the_differing_keys(untrac, recipe, finished_run):
    ran = untrac("run", recipe(), "--output", finished_run, "--trace.steps", "3", "--pretrain.steps", "9")
    assert ran.code == 2
    assert "stage 1 (pretrain): output:" in ran.text
    assert "steps: 4 there, 9 now" in ran.text
    assert "stage 2 (trace): output:" in ran.text
    assert "steps: 2 there, 3 now" in ran.text
    assert "[1/6]" not in ran.text


def test_every_step_is_checked_before_the_first(untrac, recipe, settings, tmp_path):
    data = {"corpora": [{"name": "gone", "path": str(tmp_path / "gone.jsonl")}]}
    steps = [
        {"pretrain": {"steps": 4}},
        {"trace": {"method": "untrac", "stps": 3}},
        {"trace": {"method": "untrac", "readings": 0, "data": data}},
        {"leave-out": {"trainer": {"strategy": "zz"}}},
        {"compare": {"refrence": "x"}},
    ]
    ran = untrac("run", recipe(stages=steps), "--output", tmp_path / "out")
    assert ran.code == 2
    assert "stage 2 (trace): stps: unknown key; did you mean 'steps'?" in ran.text
    assert "stage 3 (trace): readings: 0" in ran.text
    assert "gone.jsonl" in ran.text
    assert "stage 4 (leave-out): trainer: You selected an invalid strategy" in ran.text
    assert "stage 5 (compare): refrence: unknown key; did you mean 'reference'?" in ran.text
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"stagez": 1}, "stagez: unknown key of a recipe; did you mean 'stages'?"),
        ({"stages": []}, "has no `stages`"),
        ({"stages": [{"trane": None}]}, "stage 1 is 'trane'; stages are "),
        ({"stages": ["trace"]}, "stage 1 is the word 'trace'; write `- trace:`"),
        ({"stages": [5]}, "stage 1 is no single `verb: options`"),
        ({"stages": [{"trace": None}], "model": {}}, "stage 1 (trace): model: give either"),
    ],
)
def test_recipes_that_are_none(untrac, recipe, tmp_path, parts, said):
    ran = untrac("run", recipe(**parts), "--output", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.text


def test_a_recipe_that_is_not_there(untrac):
    ran = untrac("run", "nonono")
    assert ran.code == 2
    assert "shipped are" in ran.text


def test_an_unknown_flag(untrac, recipe, tmp_path):
    ran = untrac("run", recipe(), "--output", tmp_path / "out", "--stps", "3")
    assert ran.code == 2
    assert "--stps: no stage takes it" in ran.text


def test_overwriting_training_throws_away_what_came_from_its_model(untrac, recipe, settings, tmp_path, config):
    output = tmp_path / "out"
    assert untrac("run", recipe(), "--output", output).code == 0
    model = {"tokenizer": "byte", "config": recipe_model(recipe())}
    again = ("pretrain", "--config", config(model=model), "--output", output, "--steps", "5")
    assert "add --overwrite" in untrac(*again).text
    ran = untrac(*again, "--overwrite")
    assert ran.code == 0, ran.text
    assert InfluenceStore(output).table().num_rows == 0
    assert not (output / "comparison.parquet").exists()
    assert not (output / "report.html").exists()
    assert sorted(path.name for path in (output / ".untrac").glob("*.done.json")) == ["pretrain.done.json"]
    ran = untrac("run", recipe(), "--output", output, "--pretrain.steps", "5")
    assert ran.code == 0, ran.text
    assert ran.text.count("finished already") == 1
    assert InfluenceStore(output).table().num_rows > 0


def recipe_model(path):
    return yaml.safe_load(path.read_text())["model"]["config"]


def test_another_model_in_the_folder_is_noticed(untrac, config, tmp_path, model_folders, recipe_content):
    output = tmp_path / "out"
    path = config(model={})
    (output / ".untrac").mkdir(parents=True)
    shutil.copytree(model_folders("llama"), output / "model")
    trace = ("trace", "--method", "untrac", "--config", path, "--output", output, "--steps", "1")
    assert untrac(*trace).code == 0
    weights = load_file(output / "model" / "model.safetensors")
    save_file({k: v + 1 for k, v in weights.items()}, output / "model" / "model.safetensors", metadata={"format": "pt"})
    ran = untrac(*trace)
    assert ran.code == 2
    assert "model_files" in ran.text


def test_fast_dev_run_tries_every_step_and_leaves_nothing(untrac, recipe, tmp_path):
    ran = untrac("run", recipe(), "--output", tmp_path / "out", "--trainer.fast_dev_run", "true")
    assert ran.code == 0, ran.text
    assert ran.text.count("stored nothing") == 4
    assert not (tmp_path / "out").exists()


def test_flags_and_merging():
    assert parse_flags(["--trace.steps=5", "--overwrite"]) == [("trace", {"steps": 5}), (None, {"overwrite": True})]
    old = {"optimizer": {"class_path": "A", "init_args": {"lr": 1, "eps": 2}}}
    assert merge(old, {"optimizer": {"class_path": "A", "init_args": {"lr": 3}}})["optimizer"]["init_args"] == {
        "lr": 3,
        "eps": 2,
    }
    new = {"optimizer": {"class_path": "B", "init_args": {"momentum": 1}}}
    assert merge(old, new) == new


def test_more_seeds_join_the_finished_ones(untrac, config, tmp_path):
    trace = ("trace", "--method", "untrac", "--config", config(), "--steps", "2", "--readings", "1")
    assert untrac(*trace, "--output", tmp_path / "grown", "--seeds", "[0]").code == 0
    ran = untrac(*trace, "--output", tmp_path / "grown", "--seeds", "[0,1]")
    assert ran.code == 0, ran.text
    assert "seed 0" not in ran.text.split("mean of")[0]  # not run again
    assert untrac(*trace, "--output", tmp_path / "whole", "--seeds", "[0,1]").code == 0
    assert equal_tables(InfluenceStore(tmp_path / "grown").table(), InfluenceStore(tmp_path / "whole").table())


def test_texts_that_changed_under_a_step_are_noticed(untrac, config, settings, tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "one two three"}\n{"text": "four five six"}\n')
    data = {**settings["data"], "corpora": [{"name": "mine", "path": str(path)}]}
    trace = ("trace", "--method", "untrac", "--config", config(data=data), "--output", tmp_path / "out", "--steps", "2")
    assert untrac(*trace, "--seeds", "[0]").code == 0
    path.write_text('{"text": "one two three"}\n{"text": "seven eight nine"}\n')
    for seeds in ("[0]", "[0,1]"):  # of a finished step, and of one that would go on
        ran = untrac(*trace, "--seeds", seeds)
        assert ran.code == 2
        assert f"made from other data (mine: {path} has changed since)" in ran.text
    assert untrac(*trace, "--seeds", "[0,1]", "--overwrite").code == 0


def test_tables_keep_the_configured_order(finished_run):
    comparison = read_table(finished_run / "comparison.parquet")["test_set"].to_pylist()
    assert comparison[:3] == ["ask-birds", "ask-ships", "mean"]
    page = (finished_run / "report.html").read_text()
    matrix = page[page.index('class="matrix"') :]
    places = [matrix.index(f">{name}<") for name in ("birds", "ships", "bread")]
    assert places == sorted(places)


def test_training_writes_down_its_steps_and_passes(finished_run):
    # 31 examples in batches of 4 are 8 steps a pass, the last of them a short one.
    assert json.loads((finished_run / "pretrain.json").read_text()) == {"steps": 4, "passes": 0.5}


def test_another_effective_batch_is_another_experiment(untrac, config, tmp_path):
    trace = ("trace", "--method", "untrac", "--output", tmp_path / "out", "--steps", "2", "--readings", "1")
    assert untrac(*trace, "--config", config()).code == 0
    assert (
        "finished already"
        in untrac(*trace, "--config", config(), "--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2").text
    )
    ran = untrac(*trace, "--config", config(), "--data.batch_size", "2")
    assert ran.code == 2
    assert "effective_batch_size: 4 there, 2 now" in ran.text


def test_a_tokenizer_of_another_size_is_refused(untrac, config, model_folders, tmp_path):
    from transformers import AutoTokenizer

    own = tmp_path / "model"
    shutil.copytree(model_folders("llama"), own)
    tokenizer = AutoTokenizer.from_pretrained(own)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(own)
    model = {"name_or_path": str(own), "tokenizer": "byte"}
    ran = untrac("trace", "--method", "untrac", "--output", tmp_path / "out", "--config", config(model=model))
    assert ran.code == 2
    assert "model.tokenizer: 'byte' has 384 tokens" in ran.text


def test_a_flag_can_mean_one_of_two_traces(untrac, recipe, tmp_path):
    steps = [
        {"trace": {"method": "untrac", "steps": 2}},
        {"trace": {"method": "untrac_inv", "passes": 5}},
    ]
    text = untrac("run", recipe(stages=steps), "--print_recipe", "--trace-untrac.steps", "7").text
    first, second = (next(iter(step.values())) for step in yaml.safe_load(text)["stages"])
    assert (first["steps"], second.get("steps"), second["passes"]) == (7, None, 5)
    text = untrac("run", recipe(stages=steps), "--print_recipe", "--trace.steps", "7").text
    first, second = (next(iter(step.values())) for step in yaml.safe_load(text)["stages"])
    assert (first["steps"], second["steps"], second.get("passes")) == (7, 7, None)


def test_a_verb_takes_a_recipes_shared_settings(untrac, recipe, model_folders, tmp_path):
    shared = recipe(model={"name_or_path": model_folders("llama")})
    ran = untrac("unlearn", "--config", shared, "--output", tmp_path / "out", "--forget", "birds", "--steps", "2")
    assert ran.code == 0, ran.text
    assert (tmp_path / "out" / "unlearned-birds" / "config.json").is_file()


def test_the_report_warns_in_the_terminal_too(untrac, run_copy):
    ran = untrac("report", "--output", run_copy)
    assert ran.code == 0
    assert "warning: One seed only for" in ran.text


def test_a_loss_above_a_uniform_guess_is_said(untrac, config, tmp_path):
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.02}}
    path = config()
    content = yaml.safe_load(path.read_text())
    content["model"]["optimizer"] = optimizer
    path.write_text(yaml.safe_dump(content))
    ran = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        path,
        "--output",
        tmp_path / "out",
        "--steps",
        "8",
        "--collapse_cap",
        "100",
    )
    assert ran.code == 0, ran.text
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert any("above that of a uniform guess (6.0 nats per token)" in note["text"] for note in notes)


def test_after_fine_tuning_the_fine_tuned_model_is_traced(untrac, recipe, model_folders, tmp_path):
    """A shared ``name_or_path`` is where training started: retraining starts there too, all else at its end."""
    steps = [
        {
            "pretrain": {
                "steps": 4,
                "model": {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}}},
            }
        },
        {"trace": {"method": "untrac", "steps": 1}},
        {"leave-out": None},
    ]
    for name, parts, flags in (
        ("recipe", {"model": {"name_or_path": model_folders("llama")}}, []),
        ("flag", {"model": {}}, ["--model.name_or_path", model_folders("llama")]),
    ):
        ran = untrac("run", recipe(stages=steps, **parts), "--output", tmp_path / name, *flags)
        assert ran.code == 0, ran.text
        rows = InfluenceStore(tmp_path / name).table().to_pylist()
        before = {
            method: {row["test_set"]: row["loss_before"] for row in rows if row["method"] == method}
            for method in ("untrac", "leave_out")
        }
        assert before["untrac"] == pytest.approx(before["leave_out"])  # leave-out's is that of the trained model
        assert before["untrac"]["ask-birds"] < 5.9  # as it came, it guesses: ln 384 = 5.95
    initial = load_file(tmp_path / "recipe" / "initial_model" / "model.safetensors")
    assert all(
        weight.equal(initial[name]) for name, weight in load_file(f"{model_folders('llama')}/model.safetensors").items()
    )


def test_a_comparison_without_resamples_has_no_intervals(untrac, run_copy):
    ran = untrac("compare", "--output", run_copy, "--num_resamples", "0")
    assert ran.code == 0, ran.text
    rows = pq.read_table(run_copy / "comparison.parquet").to_pylist()
    assert rows
    assert all(row["ci_low"] is None or math.isnan(row["ci_low"]) for row in rows)


def test_a_recipe_of_before_lists_its_stages_as_steps(untrac, recipe_content, tmp_path):
    content = dict(recipe_content)
    stages = content.pop("stages")
    path = tmp_path / "before.yaml"
    path.write_text(yaml.safe_dump({**content, "steps": stages}))
    shown = untrac("run", path, "--print_recipe")
    assert [*yaml.safe_load(shown.text)["stages"][0]] == ["pretrain"], shown.text
    path.write_text(yaml.safe_dump({**recipe_content, "steps": stages}))
    assert "steps: unknown key of a recipe" in untrac("run", path, "--print_recipe").text


def test_a_package_that_a_later_stage_needs_is_missed_before_the_first(untrac, recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)  # as where it is not installed
    steps = [{"pretrain": {"steps": 4}}, {"unlearn": {"forget": "birds", "steps": 1, "model": {"lora": {"r": 2}}}}]
    ran = untrac("run", recipe(stages=steps), "--output", tmp_path / "out")
    assert ran.code == 2
    assert "stage 2 (unlearn): LoRA needs the package peft: pip install 'lightning-untrac[lora]'" in ran.text
    assert not (tmp_path / "out").exists()
