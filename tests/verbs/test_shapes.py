"""Input of a wrong shape, at every door: one message, exit code 2, no traceback."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from lightning_untrac.config.strict_yaml import load_strictly

TRACE = ("--method", "untrac", "--steps", "1")


def refused(ran, *parts):
    assert ran.code == 2, ran.text
    assert "Traceback" not in ran.text
    assert len(ran.text) < 1500
    for part in parts:
        assert part in ran.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: [", "is no YAML"),
        ("a: &a [*a]", "a value holds itself"),
        ("[" * 200, "nested more than 100 deep"),
        ("5", "holds a int"),
        ("", "is empty"),
        ("steps: 1\nseeds: [0]\nsteps: 2", "'steps' is given twice (lines 1 and 3)"),
        ("model: {dtype: float32, dtype: bfloat16}", "'dtype' is given twice (line 1)"),
    ],
)
@pytest.mark.parametrize("verb", ["trace", "run"])
def test_yaml_that_is_none(untrac, tmp_path, verb, text, said):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    arguments = (path,) if verb == "run" else ("--config", path)
    refused(untrac(verb, *arguments, "--output", tmp_path / "out"), "bad.yaml", said)


def test_aliases_of_aliases_are_refused_and_merge_keys_are_not():
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    levels = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairs]
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        load_strictly("\n".join(["a: &a [1, 2]", *levels]), "config")
    assert load_strictly("b: &b {x: 1}\na:\n  <<: *b\n  x: 2", "config")["a"] == {"x": 2}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--trainer", "5"], "trainer"),
        (["--data", "x"], "data"),
        (["--model", "null"], "model"),
        (["--model", "{dtype: float32, dtype: bfloat16}"], "given twice"),
        (["--data", "{a: [}"], "--data is no YAML"),
        (["--trainer", "!!python/name:os.system"], "trainer"),
        (["--seeds", "[99999999999999999999]"], "seeds: 99999999999999999999 is too large"),
        (["--data.cache_folder", "~nosuchuser/x"], "there is no user 'nosuchuser'"),
        (["--model.name_or_path", "x" * 300], "longer than a name of a file"),
        (["--model.name_or_path", "${env:UNTRAC_NO_SUCH}"], "there is no environment variable UNTRAC_NO_SUCH"),
        (["--model.name_or_path", "${secret}"], "the secret was not saved"),
    ],
)
def test_flags_of_a_wrong_shape(untrac, config, tmp_path, flags, said):
    refused(untrac("trace", *TRACE, "--config", config(), "--output", tmp_path / "out", *flags), said)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"model": "gpt2"}, "model: got 'gpt2'; a model is named as `model: {name_or_path: gpt2}`"),
        ({"data": [1]}, "data: got [1]; expected a mapping"),
        ({"output": 5}, "output"),
    ],
)
def test_configs_of_a_wrong_shape(untrac, config, tmp_path, parts, said):
    output = () if "output" in parts else ("--output", tmp_path / "out")
    refused(untrac("trace", *TRACE, "--config", config(**parts), *output), said)


def test_a_broken_number_is_one_sentence(untrac, config, settings, tmp_path):
    data = {**settings["data"], "corpora": [{**settings["data"]["corpora"][0], "num_examples": 1.5}]}
    ran = untrac("trace", *TRACE, "--config", config(data=data), "--output", tmp_path / "out")
    refused(ran, "num_examples", "1.5")
    assert "Union" not in ran.text
    assert "subtypes" not in ran.text


def test_an_empty_heading_says_nothing(untrac, config, tmp_path):
    ran = untrac("trace", *TRACE, "--config", config(trainer=None), "--output", tmp_path / "out", "--readings", "0")
    refused(ran, "1 problem", "readings: 0")


@pytest.mark.parametrize("output", ["x" * 300, "a\0b", "~nosuchuser/x"])
@pytest.mark.parametrize("verb", ["trace", "compare", "merge", "run"])
def test_outputs_that_no_file_system_holds(untrac, config, recipe, verb, output):
    arguments = {"trace": ("--config", config(), *TRACE), "run": (recipe(),)}.get(verb, ())
    refused(untrac(verb, *arguments, f"--output={output}"), "output: ")


@pytest.mark.parametrize("name", ["logs", "plots", ".untrac"])
def test_a_file_where_a_folder_is_needed(untrac, config, tmp_path, name):
    output = tmp_path / "out"
    (output / ".untrac").mkdir(parents=True)
    shutil.rmtree(output / name, ignore_errors=True)
    (output / name).write_text("x")
    refused(untrac("trace", *TRACE, "--config", config(), "--output", output), f"{name} is a file")


def test_everything_about_a_recipe_comes_together(untrac, recipe, tmp_path):
    steps = [
        {"trace": "untrac"},
        {"trace": {"method": ["untrac", {"untrac_inv": {"steps": 3, "stps": 1}}], "steps": 2}},
        {"trace": {"method": "untrac", "steps": 4}},
        {"compare": {"refrence": "x"}},
    ]
    ran = untrac("run", recipe(stages=steps, foo=1, model={"tokenizer": "byte", "config": {"model_type": "llama"}}),
                 "--output", tmp_path / "out")  # fmt: skip
    refused(
        ran,
        "foo: unknown key of a recipe",
        "stage 1 is `trace: untrac`; its options are a mapping: `- trace: {method: untrac}`",
        "stage 2 (trace untrac_inv): stps: unknown key",
        "stage 3 (trace): stage 2 (trace untrac) writes the results of 'trace-untrac' too",
        "steps: 2 there, 4 here",
        "stage 4 (compare): refrence",
    )


def test_one_of_several_methods_has_settings_of_its_own(untrac, recipe, config, tmp_path):
    steps = [{"trace": {"method": ["untrac", {"untrac_inv": {"steps": 3}}], "passes": 2}}]
    text = untrac("run", recipe(stages=steps), "--print_recipe").text
    first, second = (step["trace"] for step in yaml.safe_load(text)["stages"])
    assert (first["method"], first["passes"]) == ("untrac", 2)
    assert (second["method"], second["steps"], second.get("passes")) == ("untrac_inv", 3, None)
    methods = {"method": ["untrac", {"untrac_inv": {"steps": 0}}], "steps": 1}
    refused(untrac("trace", "--config", config(**methods), "--output", tmp_path / "out"), "1 problem", "steps: 0")
    refused(untrac("trace", "--config", config(method=[5]), "--output", tmp_path / "out"), "5 is no name")
    assert json.dumps(first)
