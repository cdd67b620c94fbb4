"""Bad input: one message with everything in it, before step 0, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


def refused(ran, *parts):
    assert ran.code == 2, ran.text
    assert "Traceback" not in ran.text
    for part in parts:
        assert part in ran.text, ran.text
    return ran.text


@pytest.fixture
def trace(untrac, config, tmp_path):
    def run(*flags, **parts):
        return untrac("trace", "--method", "untrac", "--config", config(**parts), "--output", tmp_path / "out", *flags)

    return run


def test_all_unknown_keys_at_once(trace, settings):
    data = {**settings["data"], "corpra": 1, "test_sets": [{"nme": "x"}]}
    refused(
        trace("--stps", "3", "--trainer.acelerator", "cpu", data=data, foo=1, wandb={"projct": "x"}),
        "7 problems to mend",
        "foo: unknown key; there are collapse_cap",
        "data.corpra: unknown key; did you mean 'corpora'?",
        "data.test_sets[0].nme: unknown key; did you mean 'name'?",
        "data.test_sets[0]: has no `path`",
        "wandb.projct: unknown key; did you mean 'project'?",
        "--stps: unknown key; did you mean 'steps'?",
        "--trainer.acelerator: unknown key; did you mean 'accelerator'?",
    )


def test_every_kind_of_problem_of_a_recipe_comes_in_one_message(untrac, recipe, settings, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    entries = [("birds", "missing.jsonl"), ("birds", "missing.jsonl"), ("none", "empty.jsonl")]
    corpora = [{"name": name, "path": str(tmp_path / file)} for name, file in entries]
    steps = [
        {"pretrain": {"stps": 4, "seed": "x", "trainer": {"acelerator": "cpu", "max_epochs": "many"}}},
        {"leave-out": {"budget": "time", "keep_going": 5}},
        {"trace": {"method": "untracc", "redings": 2}},
        {"compare": {"num_resamples": -1, "methods": ["untracc"]}},
    ]
    data = {**settings["data"], "corpora": corpora, "batch_sise": 4}
    text = refused(
        untrac("run", recipe(tittle="x", data=data, stages=steps), "--output", tmp_path / "out"),
        "15 problems to mend",
        "tittle: unknown key of a recipe; did you mean 'title'?",
        "stage 1 (pretrain): stps: unknown key; did you mean 'steps'?",
        "stage 1 (pretrain): data.batch_sise: unknown key; did you mean 'batch_size'?",
        "stage 1 (pretrain): trainer.acelerator: unknown key; did you mean 'accelerator'?",
        "stage 1 (pretrain): seed: got 'x'; expected int",
        "stage 1 (pretrain): trainer.max_epochs: got 'many'; expected int",
        "stage 1 (pretrain): the name 'birds' is given 2 times",
        f"stage 1 (pretrain): birds: {tmp_path / 'missing.jsonl'} does not exist",
        f"stage 1 (pretrain): none: {tmp_path / 'empty.jsonl'} is empty",
        "stage 2 (leave-out): budget: ",
        "stage 2 (leave-out): keep_going: got '5'; expected bool",
        "stage 3 (trace): redings: unknown key; did you mean 'readings'?",
        "stage 3 (trace): method: 'untracc' is unknown; did you mean 'untrac'?",
        "stage 4 (compare): num_resamples: -1; give a number of at least 0",
        "stage 4 (compare): methods: 'untracc' is unknown",
    )
    assert text.count("batch_sise") == 1


def test_what_follows_from_a_wrong_key_is_not_said_again(untrac, config, settings):
    data = {key: value for key, value in settings["data"].items() if key != "test_sets"}
    ran = untrac("trace", "--config", config(data={**data, "test_set": data["corpora"]}), "--method", "mine")
    refused(ran, "3 problems to mend", "data.test_set: unknown key", "output: not given", "method: 'mine' is unknown")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--steps", "x"], "steps: got 'x'; expected int"),
        (["--method", "mine"], "method: 'mine' is unknown; use one of adam_graddot, "),
        (["--trainer.precision", "zz"], "trainer.precision: got 'zz'"),
        (["--trainer.accelerator", "zz"], "invalid accelerator name"),
        (["--trainer.strategy", "zz"], "invalid strategy name"),
        (["--model.optimizer", "torch.optim.Nope"], "no attribute 'Nope'"),
        (["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "-1"], "model.optimizer: Invalid learning"),
        (["--trainer.limit_val_batches", "0"], "trainer.limit_val_batches: 0; reads no loss"),
        (["--trainer.barebones", "true"], "trainer.barebones"),
        (["--trainer.max_epochs", "3"], "an epoch is an episode"),
        (["--model.dtype", "int4"], "model.dtype: 'int4' is unknown"),
        (["--examples", "--steps", "2"], "examples: only --method untrac_inv"),
    ],
)
def test_a_wrong_value_is_one_sentence(trace, flags, said):
    refused(trace(*flags), "1 problem to mend", said)


def test_problems_of_options_model_trainer_and_files_come_together(trace, settings, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text('{"text": "a b"}\n{"text": nope}\n')
    (tmp_path / "column.jsonl").write_text('{"body": "a b"}\n')
    entries = [("missing", "missing.jsonl"), ("empty", "empty.jsonl"), ("bad", "bad.jsonl"), ("column", "column.jsonl")]
    corpora = [{"name": name, "path": str(tmp_path / file)} for name, file in entries]
    twice = [{"name": "ask-birds", "path": "x"}, {"name": "a/b", "path": "x"}]
    text = refused(
        trace(
            *("--steps", "0", "--readings", "0", "--trainer.max_steps", "0", "--trainer.strategy", "zz"),
            model={"name_or_path": str(tmp_path / "nowhere")},
            data={**settings["data"], "corpora": corpora + twice, "batch_size": 0},
        ),
        "steps: 0",
        "readings: 0",
        "trainer.max_steps: 0",
        "invalid strategy name",
        "nowhere",
        "missing.jsonl",
        "empty.jsonl is empty",
        "bad.jsonl, line 2",
        "body",
        "'ask-birds' is given 2 times",
        "'a/b' can't be a file name",
        "batch_size: 0",
    )
    assert text.count("\n  - ") >= 12
    assert not (tmp_path / "out" / "influence.parquet").exists()


def test_no_target_token_and_too_long(trace, settings, tmp_path):
    (tmp_path / "zero.jsonl").write_text('{"p": "a", "q": ""}\n')
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": "x" * 200}) + "\n")
    corpora = [
        {"name": "zero", "path": str(tmp_path / "zero.jsonl"), "prompt": "p", "target": "q"},
        {"name": "long", "path": str(tmp_path / "long.jsonl")},
    ]
    refused(
        trace(data={**settings["data"], "corpora": corpora}),
        "2 problems",
        "zero: has no target token",
        "long: an example has 201 tokens, more than the model's context of 64",
    )


def test_no_corpora_and_no_test_sets(trace, settings):
    data = {**settings["data"], "corpora": [], "test_sets": []}
    refused(trace(data=data), "2 problems", "corpora: none given", "test_sets: none given")


def test_a_vocabulary_that_is_too_small(trace, recipe_content):
    model = {"tokenizer": "byte", "config": {**recipe_content["model"]["config"], "vocab_size": 100}}
    refused(trace(model=model), "birds: the tokenizer makes token id", "vocabulary has 100 entries")


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])


def _emptied(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _other(**changes):
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (_cut, "can't load the weights"),
        (_emptied, "can't load the weights"),
        (lambda folder: (folder / "model.safetensors").unlink(), "can't load the weights"),
        (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON"),
        (_other(hidden_size=32), "other sizes"),
        (_other(num_hidden_layers=4), "parameters"),
    ],
)
# transformers warns, too, about what the message says.
@pytest.mark.filterwarnings("default")
def test_broken_model_folders(trace, model_folders, tmp_path, breaks, said):
    folder = Path(shutil.copytree(model_folders("llama"), tmp_path / "model"))
    breaks(folder)
    refused(trace(model={"name_or_path": str(folder)}), said)


def test_output_folders_that_cannot_be_used(untrac, config, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    path = config()
    refused(untrac("trace", "--method", "untrac", "--config", path, "--output", tmp_path / "file"), "cannot be written")
    refused(
        untrac("trace", "--method", "untrac", "--config", path, "--output", tmp_path / "mine"),
        "holds other files (thesis.tex",
    )
    refused(untrac("trace", "--method", "untrac", "--config", path), "output: not given")
    refused(untrac("compare", "--output", tmp_path / "none"), "holds no results")
    refused(untrac("report", "--output", tmp_path / "none"), "holds no results")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_too_little_space_for_the_model(untrac, config, tmp_path, monkeypatch, recipe_content):
    usage = shutil.disk_usage(tmp_path)._replace(free=60_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    model = {"tokenizer": "byte", "config": {**recipe_content["model"]["config"], "intermediate_size": 100_000}}
    ran = untrac("pretrain", "--config", config(model=model), "--output", tmp_path / "out", "--steps", "1")
    refused(ran, "output: 0.1 GB are free")


def test_a_checkpoint_of_another_model(untrac, config, tmp_path, recipe_content):
    output = tmp_path / "out"
    model = recipe_content["model"]
    bigger = {**model, "config": {**model["config"], "hidden_size": 32}}
    pretrain = ("pretrain", "--output", output, "--steps", "3", "--checkpoint_every", "2")
    assert untrac(*pretrain, "--config", config(model=bigger)).code == 0
    last = output / "checkpoints" / "pretrain" / "step=2.ckpt"
    foreign = last.read_bytes()
    shutil.rmtree(output)
    assert untrac(*pretrain, "--config", config(model=model)).code == 0
    last.write_bytes(foreign)
    (output / ".untrac" / "pretrain.done.json").unlink()
    refused(untrac(*pretrain, "--config", config(model=model)), "checkpoint", "doesn't fit this model")


def test_a_reference_that_is_not_there(untrac, config, tmp_path):
    ran = untrac("evaluate", "--config", config(), "--output", tmp_path / "out", "--reference", tmp_path / "no")
    refused(ran, "reference: ")


def test_the_dataset_to_forget_must_exist(untrac, config, tmp_path):
    ran = untrac("unlearn", "--config", config(), "--output", tmp_path / "out", "--forget", "cats")
    refused(ran, "no dataset is named 'cats'; there are birds, ships, bread, ask-birds, ask-ships")
    ran = untrac("unlearn", "--config", config(), "--output", tmp_path / "out", "--forget", "bird")
    refused(ran, "no dataset is named 'bird'; did you mean 'birds'? there are birds")


def test_what_a_term_says_of_its_settings_is_passed_on(untrac, config, tmp_path):
    unlearn = ("unlearn", "--config", config(), "--output", tmp_path / "out", "--forget", "birds", "--objective", "rmu")
    ran = untrac(*unlearn, "--model.unlearning_objective.forget.layer", "1.5")
    refused(ran, "RMU(layer=1.5): give the number of a layer from 0")
    assert "Union" not in ran.text


def test_a_folder_with_nothing_to_judge(untrac, tmp_path):
    ran = untrac("judge", "--output", tmp_path / "out", "--forget", "birds")
    refused(ran, "holds no model that was retrained without birds", "there are none: name them in data.corpora")
    assert "None" not in ran.text


def test_a_class_that_does_not_exist_is_named_with_those_that_do(untrac, config, tmp_path):
    trace = ("trace", "--config", config(), "--output", tmp_path / "out", "--method", "untrac")
    refused(untrac(*trace, "--model.unlearning_objective", "Nope"), "there is no class 'Nope'", "ClampedAscent")
    refused(
        untrac(*trace, "--model.unlearning_objective", "my_own.Nope"), "there is no module 'my_own'", "PYTHONPATH=."
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), ["beside 'birds' there is no corpus to retain; name at least one more", "(--objective ga)"]),
        (("--objective", "npo", "--retain", "kl"), ["beside 'birds' there is no corpus to retain"]),
        (("--forget_examples", "ALL"), ["beside 'birds-chosen' there is no corpus to retain"]),
        (("--objective", "dpo"), ["an alternative to each answer, and birds has none; name its columns"]),
        (
            ("--objective", "rmu", "--model.unlearning_objective.forget.layer", "99"),
            ["reads a layer that the model has"],
        ),
        (("--objective", "ga", "--stop_at_holdout", "true"), ["StopAtHoldout: there is no holdout"]),
        (
            ("--objective", "np", "--retain", "kll", "--measures", "los", "--heal_steps", "-1", "--steps", "0"),
            [
                "5 problems to mend",
                "objective: 'np' is unknown; did you mean 'npo'?",
                "retain: 'kll' is unknown; did you mean 'kl'?",
                "did you mean 'loss'?",
                "heal_steps: -1",
                "steps: 0",
            ],
        ),
    ],
)
def test_an_unlearning_that_cannot_be_says_why_and_leaves_no_folder(untrac, config, settings, tmp_path, flags, said):
    """Of the only corpus: nothing is left to retain."""
    (tmp_path / "all.txt").write_text("\n".join(map(str, range(12))))
    data = {**settings["data"], "corpora": settings["data"]["corpora"][:1]}
    flags = [str(tmp_path / "all.txt") if flag == "ALL" else flag for flag in flags]
    output = tmp_path / "new" / "out"
    refused(untrac("unlearn", "--config", config(data=data), "--output", output, "--forget", "birds", *flags), *said)
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("verb", "flags", "said"),
    [
        ("evaluate", ("--measures", "kl_to_reference"), "kl_to_reference needs reference_logits"),
        ("retrain", ("--measures", "kl_to_reference", "--forget", "birds"), "kl_to_reference needs reference_logits"),
        ("trace", ("--steps", "0"), "steps: 0"),
        ("judge", ("--forget", "birds"), "holds no model that was retrained without birds"),
        ("leave-out", (), "trained_model: none given"),
        ("compare", None, "holds no results"),
        ("report", None, "holds no results"),
    ],
)
def test_a_refused_run_leaves_no_folder(untrac, config, tmp_path, verb, flags, said):
    asked = () if flags is None else ("--config", config(), *flags)
    refused(untrac(verb, *asked, "--output", tmp_path / "new" / "out"), said)
    assert not (tmp_path / "new").exists()


def test_a_refused_recipe_leaves_no_folder(untrac, recipe, tmp_path):
    refused(untrac("run", recipe(stages=[{"pretrain": {"steps": 0}}]), "--output", tmp_path / "out"), "steps: 0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (["sea", "farm"], "2 of the 3 texts of birds stand in corpora that stay (2 in sea, 1 in farm)"),
        ([], "no corpus is left beside birds"),
    ],
)
def test_what_is_forgotten_and_stays_too_is_said(untrac, config, settings, tmp_path, kept, said):
    texts = {
        "birds": ["a wren", "a gull", "a hen", "a hen"],
        "sea": ["a gull", "a ship", "a hen"],
        "farm": ["a hen"] * 2,
    }
    for name, rows in texts.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    corpora = [{"name": name, "path": str(tmp_path / f"{name}.jsonl")} for name in ["birds", *kept]]
    asked = config(data={**settings["data"], "corpora": corpora, "test_sets": []})
    flags = ("--objective", "ga", "--steps", "1", "--measures", "loss", "--forget", "birds")
    ran = untrac("unlearn", "--config", asked, "--output", tmp_path / "out", *flags)
    assert ran.code == 0, ran.text
    assert ran.text.startswith(f"unlearn: {said}")
    notes = json.loads((tmp_path / "out" / "notes.json").read_text())
    assert any(said in note["text"] if isinstance(note, dict) else said in note for note in notes), notes
