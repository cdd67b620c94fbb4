"""Which examples are chosen from a file or by influence, and a whole run that forgets them."""

import json
from types import SimpleNamespace

import pytest
import yaml

from lightning_untrac.cli import main
from lightning_untrac.data.encoding import content_hash
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.runs.forget_set import (
    chosen_before,
    chosen_examples,
    other_choices,
    read_ids,
    top_ids,
    write_ids,
)
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.tables.measurements import read_measurements


def asked(folder, *options):
    """What is chosen of ``birds`` by the options of a verb."""
    names = ("forget_examples", "forget_top", "forget_top_of", "forget_top_method")
    return chosen_examples(SimpleNamespace(output=str(folder), **dict(zip(names, options, strict=True))), "birds")


def row(example, influence, seed=0, method="untrac_inv", test_set="ask-birds", status="ok", text=None):
    return {
        "method": method, "corpus": "birds", "test_set": test_set, "seed": seed, "example": example,
        "content_hash": content_hash("", text or f"text {example}"), "loss_before": 1.0, "loss_after": 1.0,
        "num_tokens": 4, "influence": influence, "status": status,
    }  # fmt: skip


def test_the_top_is_by_the_mean_over_seeds_that_are_ok(tmp_path):
    store = InfluenceStore(tmp_path)
    rows = [row(0, 3.0), row(1, 2.0), row(2, -9.0), row(0, -2.0, seed=1), row(1, 0.0, seed=1), row(2, 9.0, seed=1)]
    rows += [row(2, 99.0, seed=2, status="broken"), row(2, 99.0, test_set="other")]
    store.append_examples(rows)
    hashes = [content_hash("", f"text {i}") for i in range(3)]
    ids, (note,) = top_ids(str(tmp_path), "birds", 2, "ask-birds")
    assert ids == (hashes[1], hashes[0])
    assert "1 influence of birds on ask-birds did not count (broken); 0 examples had no other" in note
    with pytest.raises(ConfigurationError, match=r"3 different examples of birds .* 2 have one above 0"):
        top_ids(str(tmp_path), "birds", 3, "ask-birds")
    with pytest.raises(ConfigurationError, match="no influence of examples of 'ships'"):
        top_ids(str(tmp_path), "ships", 1, "ask-birds")
    store.append_examples([row(2, 50.0, method="mine")])
    with pytest.raises(ConfigurationError, match="mine, untrac_inv; name one as forget_top_method"):
        top_ids(str(tmp_path), "birds", 1, "ask-birds")
    assert top_ids(str(tmp_path), "birds", 1, "ask-birds", "mine") == ((hashes[2],), ())


def test_ids_are_read_as_they_are_written(tmp_path):
    hashes = [content_hash("", "one"), content_hash("", "two")]
    write_ids(tmp_path / "ids.txt", hashes)
    assert read_ids(str(tmp_path / "ids.txt")) == tuple(hashes)
    (tmp_path / "ids.txt").write_text("# chosen by hand\n\n 3 \n")
    assert read_ids(str(tmp_path / "ids.txt")) == ("3",)


def test_a_judgement_is_of_models_that_forgot_the_same_examples(tmp_path):
    hashes = [content_hash("", str(number)) for number in range(3)]
    same, other = hashes[:2], hashes[1:]
    files = {"retrain-a-chosen": same, "unlearn-a-chosen": same[::-1], "unlearn-a-chosen-b": other}
    for name, ids in {**files, "sisa-a-chosen": same, "sisa-a-chosen-b": other}.items():
        write_ids(tmp_path / f"{name}.examples.txt", ids)
    choice, missing = chosen_before(str(tmp_path), "a-chosen")
    assert choice is not None
    assert (set(choice.ids), missing) == (set(same), [])
    models = [str(tmp_path / f"unlearned-a-chosen{end}") for end in ("", "-sisa", "-unknown")]
    assert other_choices(str(tmp_path), choice, models) == []
    (said,) = other_choices(str(tmp_path), choice, [*models, f"{models[0]}-b", f"{models[0]}-b-sisa"])
    assert "unlearned-a-chosen-b (unlearn-a-chosen-b.examples.txt), unlearned-a-chosen-b-sisa (sisa-" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [("1\nforum-3\n", "'forum-3' in line 2"), ("# none\n", "names no example"), ("-1\n", "'-1' in line 1")],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, said):
    (tmp_path / "ids.txt").write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        read_ids(str(tmp_path / "ids.txt"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("ids.txt", 3, "x", None), "give one of the two"),
        ((None, 3, None, None), "forget_top and forget_top_of: give both"),
        ((None, None, None, "untrac_inv"), "forget_top_method: belongs to forget_top"),
        ((None, 0, "x", None), "give at least 1 example"),
        (("nowhere.txt", None, None, None), "can't read nowhere.txt"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, said):
    found = asked(tmp_path, *options)
    assert found.choice is None
    assert any(said in problem for problem in found.problems)


def test_influences_that_are_yet_to_be_made_are_missing_and_no_problem_of_the_options(tmp_path):
    found = asked(tmp_path, None, 2, "ask-birds", None)
    assert found.choice is not None
    assert not found.problems
    assert "run `untrac trace --method untrac_inv --examples true`" in found.missing[0]


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, text_files, cache_folder, model_folders):
    def named(names):
        return [{"name": name, "path": str(text_files[name])} for name in names]

    data = {"corpora": named(("birds", "ships")), "test_sets": named(("ask-birds",)), "cache_folder": cache_folder}
    config = {"model": {"name_or_path": model_folders()}, "data": {**data, "batch_size": 4}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**config, "trainer": {"accelerator": "cpu"}}))
    common = ["--config", path, "--output", tmp_path / "out"]

    def run(verb, *arguments):
        return main([str(part) for part in (verb, *common, *arguments)])

    return run


def test_a_run_forgets_the_most_influential_examples(command, tmp_path, text_files, capsys):
    unlearn = ("unlearn", "--forget", "birds", "--steps", 2, "--readings", 1)
    top = ("--forget_top", 3, "--forget_top_of", "ask-birds")
    retain = ("--model.unlearning_objective.retain+", "RetainLoss")
    assert command(*unlearn, *top, *retain) != 0
    assert "holds no influence of examples of 'birds' on 'ask-birds'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "unlearned-birds-chosen").exists()
    assert command("trace", "--method", "untrac_inv", "--examples", "true", "--steps", 1) == 0
    expected, _ = top_ids(str(tmp_path / "out"), "birds", 3, "ask-birds")
    assert command(*unlearn, *top, *retain) == 0
    out = tmp_path / "out"
    assert (out / "unlearned-birds-chosen" / "model.safetensors").is_file()
    written = read_ids(str(out / "unlearn-birds-chosen.examples.txt"))
    assert sorted(written) == sorted(expected)
    table = read_measurements(out)
    mine = [row for row in table.to_pylist() if row["forget_set"] == "birds-chosen" and row["step"] == 2]
    texts = [json.loads(line)["text"] for line in text_files["birds"].read_text().splitlines()]
    rows_of = {name: {row["example"] for row in mine if row["dataset"] == name} for name in
               ("birds-chosen", "birds-rest", "ships")}  # fmt: skip
    assert len(rows_of["birds-chosen"]) == sum(content_hash("", text) in expected for text in texts)
    assert len(rows_of["birds-chosen"]) + len(rows_of["birds-rest"]) == len(texts)
    assert rows_of["ships"]
    capsys.readouterr()
    # The same again is finished; others are another experiment.
    assert command(*unlearn, *top, *retain) == 0
    assert "finished already" in capsys.readouterr().out
    ids = tmp_path / "ids.txt"
    ids.write_text("0\n1\n")
    assert command(*unlearn, "--forget_examples", ids, *retain) != 0
    assert "forget_set" in capsys.readouterr().err
    assert command(*unlearn, "--forget_examples", ids, *retain, "--overwrite", "true") == 0
    assert read_ids(str(out / "unlearn-birds-chosen.examples.txt")) == tuple(content_hash("", t) for t in texts[:2])
    assert main(["report", "--output", str(out)]) == 0


def test_ids_that_do_not_exist_are_refused_with_everything_else_and_nothing_is_written(command, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("0\n99\n")
    asked = ("--forget", "birds", "--forget_examples", tmp_path / "ids.txt", "--collapse_cap", "-1")
    assert command("unlearn", *asked) != 0
    said = capsys.readouterr().err
    assert "none of them is row 99" in said
    assert "collapse_cap" in said
    assert not (tmp_path / "out" / "unlearned-birds-chosen").exists()


def test_a_forget_set_of_its_own_is_forgotten_and_a_holdout_measured(tmp_path, command, text_files, capsys):
    path = tmp_path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["data"] |= {
        "forget": [{"name": "bread", "path": str(text_files["bread"])}],
        "holdout": [{"name": "unseen", "path": str(text_files["ask-ships"])}],
    }
    path.write_text(yaml.safe_dump(config))
    assert command("evaluate") == 0
    assert command("unlearn", "--forget", "bread", "--objective", "ga", "--steps", 1, "--readings", 1) == 0
    rows = read_measurements(tmp_path / "out").to_pylist()
    for step in (None, 0, 1):
        found = {row["dataset"] for row in rows if row["step"] == step}
        assert found == {"birds", "ships", "ask-birds", "bread", "unseen"}, step
    facts = json.loads((tmp_path / "out" / "run.json").read_text())
    roles = {entry["name"]: entry["role"] for entry in facts["data"]}
    assert (roles["bread"], roles["unseen"]) == ("forget set", "holdout")
    assert command("trace", "--method", "untrac", "--steps", 1) == 0
    table = InfluenceStore(tmp_path / "out").table()
    assert set(table["corpus"].to_pylist()) == {"birds", "ships"}
    assert set(table["test_set"].to_pylist()) == {"ask-birds"}
    assert main(["report", "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    config["data"]["holdout"][0]["pth"] = "x"
    path.write_text(yaml.safe_dump(config))
    assert command("unlearn", "--forget", "unseen", "--steps", 1) != 0
    said = capsys.readouterr().err
    assert "data.holdout[0].pth: unknown key" in said
    assert "forget: 'unseen' is a holdout" in said


def test_a_recipe_may_forget_by_influences_that_an_earlier_step_makes(tmp_path, text_files, cache_folder):
    def named(names):
        return [{"name": name, "path": str(text_files[name])} for name in names]

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    content = {
        "title": "tiny",
        "model": {"tokenizer": "byte", "config": {"model_type": "llama", "max_position_embeddings": 64, **sizes}},
        "data": {"corpora": named(("birds", "ships")), "test_sets": named(("ask-birds",)),
                 "cache_folder": cache_folder},
        "trainer": {"accelerator": "cpu"},
        "stages": [
            {"pretrain": {"steps": 1}},
            {"trace": {"method": "untrac_inv", "steps": 1, "examples": True}},
            {"unlearn": {"forget": "birds", "forget_top": 2, "forget_top_of": "ask-birds", "steps": 1}},
        ],
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    run = ["run", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "run")]
    assert main(run) == 0
    model = tmp_path / "run" / "unlearned-birds-chosen" / "model.safetensors"
    made = model.stat().st_mtime_ns
    assert main(run) == 0
    assert model.stat().st_mtime_ns == made
