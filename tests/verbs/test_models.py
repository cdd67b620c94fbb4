"""``unlearn`` and ``evaluate``, and models with LoRA adapters."""

from __future__ import annotations

import json
import math

import pytest
import yaml

from lightning_untrac.tables import InfluenceStore, equal_tables, read_measurements, read_summary

LORA = "{r: 2, target_modules: [q_proj, v_proj]}"


def means(output, measure="loss"):
    """Weighted means by model, step and dataset."""
    rows = [row for row in read_summary(output).to_pylist() if (row["measure"], row["statistic"]) == (measure, "mean")]
    return {(row["model"], row["step"], row["dataset"]): row for row in rows}


@pytest.fixture
def losses(untrac, config):
    def measure(output, *flags, **model):
        ran = untrac("evaluate", "--config", config(model=model), "--output", output, *flags)
        assert ran.code == 0, ran.text
        return {(model, dataset): row for (model, _, dataset), row in means(output).items()}

    return measure


def test_unlearning_makes_the_forgotten_set_worse_and_keeps_the_model(untrac, config, tmp_path, losses, model_folders):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = tmp_path / "out"
    unlearn = ("unlearn", "--config", config(), "--output", output, "--forget", "birds", "--steps", "5")
    unlearn += ("--objective", "ga")
    ran = untrac(*unlearn, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5")
    assert ran.code == 0, ran.text
    unlearned = str(output / "unlearned-birds")
    AutoModelForCausalLM.from_pretrained(unlearned)
    AutoTokenizer.from_pretrained(unlearned)
    reported = means(output)
    assert reported[unlearned, 5, "birds"]["value"] > reported[model_folders("llama"), 0, "birds"]["value"]
    measured = losses(tmp_path / "again", "--reference", model_folders("llama"), name_or_path=unlearned)
    for (model, step, name), row in reported.items():
        if step in (0, 5):
            assert measured[model, name]["value"] == pytest.approx(row["value"], abs=1e-6)
    again = untrac(*unlearn, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5")
    assert "finished already" in again.text


def test_examples_add_up_to_the_summary(tmp_path, losses, model_folders):
    output = tmp_path / "out"
    losses(output, "--examples", name_or_path=model_folders("llama"))
    examples, summary = read_measurements(output).to_pylist(), read_summary(output).to_pylist()
    assert {row["measure"] for row in summary} == {"loss", "memorisation_accuracy", "extraction_strength"}
    for row in summary:
        mine = [r for r in examples if (r["measure"], r["dataset"]) == (row["measure"], row["dataset"])]
        weights, total = [r["weight"] for r in mine], math.fsum(r["value"] * r["weight"] for r in mine)
        expected = {
            "mean": total / math.fsum(weights),
            "example_mean": math.fsum(r["value"] for r in mine) / len(mine),
            "weight": math.fsum(weights),
            "count": len(mine),
            "perplexity": math.exp(total / math.fsum(weights)) if row["measure"] == "loss" else None,
        }
        assert row["value"] == pytest.approx(expected[row["statistic"]], rel=1e-14)
        if row["ci_low"] is not None:
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    found = {row["dataset"]: row for row in summary if row["statistic"] == "perplexity"}
    assert set(found) == {row["dataset"] for row in summary}
    for row in summary:
        if (row["measure"], row["statistic"]) == ("loss", "mean"):
            ends = [math.exp(row[end]) for end in ("ci_low", "ci_high")]
            assert [found[row["dataset"]][end] for end in ("ci_low", "ci_high")] == pytest.approx(ends)


FAILING_LOGGER = """
from lightning.pytorch.loggers import CSVLogger

class FullDisk(CSVLogger):
    def log_metrics(self, metrics, step=None):
        if metrics.get("episode_step") == 8:
            raise RuntimeError("no space left on device")
"""


@pytest.mark.parametrize("every", [3, 4])  # the step whose reading fails has a checkpoint of its own at 4
def test_an_unlearning_that_was_cut_short_goes_on_to_the_same_tables(untrac, config, tmp_path, monkeypatch, every):
    def unlearn(folder, *flags):
        fixed = ("--forget", "birds", "--objective", "ga", "--steps", "12", "--readings", "3")
        fixed += ("--checkpoint_every", every)
        return untrac("unlearn", "--config", asked, "--output", tmp_path / folder, *fixed, *flags)

    (tmp_path / "my_loggers.py").write_text(FAILING_LOGGER)
    monkeypatch.syspath_prepend(tmp_path)
    asked = config()
    logger = f'{{"class_path": "my_loggers.FullDisk", "init_args": {{"save_dir": "{tmp_path}"}}}}'
    with pytest.raises(RuntimeError, match="no space left"):
        unlearn("cut", "--trainer.logger", logger)
    assert {row["step"] for row in read_measurements(tmp_path / "cut").to_pylist()} == {0}
    assert {row["step"] for row in read_summary(tmp_path / "cut").to_pylist()} == {0, 4}
    assert unlearn("cut").code == 0
    assert unlearn("whole").code == 0
    for read in (read_summary, read_measurements):
        assert equal_tables(read(tmp_path / "cut"), read(tmp_path / "whole"), ignore=["model"])


OWN_MEASURE = """
from lightning_untrac import Measure
from lightning_untrac.metrics import Measured

class FirstToken(Measure):
    name, title, unit, direction, bounds = "first_token", "Logit of the first target", "logits", "higher", (-1e9, 1e9)
    ideal, weight_unit = "lower", "examples"

    def __call__(self, seen):
        first = seen.logits[:, 0].gather(1, seen.targets[:, :1].clamp(min=0)).squeeze(1)
        return Measured(first, (seen.targets[:, 0] >= 0))
"""


def test_a_measure_is_one_new_file(untrac, config, tmp_path, monkeypatch):
    """By its class path it comes into the command line, the tables and the report, with what it says of itself."""
    (tmp_path / "my_measures.py").write_text(OWN_MEASURE)
    monkeypatch.syspath_prepend(tmp_path)
    ran = untrac(
        "unlearn", "--config", config(), "--output", tmp_path / "out", "--forget", "birds", "--steps", "2",
        "--measures", "loss,my_measures.FirstToken", "--objective", "ga",
    )  # fmt: skip
    assert ran.code == 0, ran.text
    assert "Logit of the first target (logits)" in ran.text
    rows = [row for row in read_measurements(tmp_path / "out").to_pylist() if row["measure"] == "first_token"]
    assert {row["unit"] for row in rows} == {"logits"}
    assert {row["step"] for row in rows if row["dataset"] == "birds"} == {0, 1, 2}  # every reading of what is forgotten
    assert {row["step"] for row in rows if row["dataset"] != "birds"} == {0, 2}
    ran = untrac("report", "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Logit of the first target" in page
    assert "What was forgotten, and what it cost" in page
    first = json.loads((tmp_path / "out" / "run.json").read_text())["example_texts"]["birds"]
    assert all(text in page for text in first.values())
    assert len(first) == 10


def test_an_unknown_measure_is_refused_with_everything_else_that_is_wrong(untrac, config, tmp_path):
    ran = untrac("evaluate", "--config", config(data={}), "--output", tmp_path / "out", "--measures", "los,no.such.One")
    assert ran.code == 2
    for said in ("did you mean 'loss'", "'no.such.One'", "name at least one dataset to measure"):
        assert said in ran.text
    assert read_summary(tmp_path / "out") is None


def test_an_encoder_decoder_is_measured_on_its_targets(
    untrac, config, pair_files, cache_folder, model_folders, tmp_path
):
    columns = {"prompt": "prompt", "target": "target"}
    corpora = [{"name": "birds", "path": str(pair_files["birds"]), **columns}]
    asked = config(
        model={"name_or_path": model_folders("t5")},
        data={"corpora": corpora, "cache_folder": cache_folder},
        measures=["memorisation_accuracy"],
    )
    ran = untrac("evaluate", "--config", asked, "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    rows = read_measurements(tmp_path / "out").to_pylist()
    assert {row["measure"] for row in rows} == {"memorisation_accuracy"}
    targets = [json.loads(line)["target"] for line in pair_files["birds"].read_text().splitlines()]
    assert [row["weight"] for row in rows] == [len(target) + 1 for target in targets]  # bytes and EOS


def test_packed_corpora_say_that_their_rows_are_blocks(untrac, config, settings, tmp_path, model_folders):
    data = {**settings["data"], "block_size": 16}
    evaluate = ("evaluate", "--config", config(data=data), "--output", tmp_path / "out")
    ran = untrac(*evaluate)
    assert ran.code == 0, ran.text
    assert f"evaluate: measuring {model_folders('llama')} on 5 datasets" in ran.text
    assert "Means over the target tokens of each dataset" in ran.text
    assert "measured in" in ran.text
    assert " blocks" in ran.text
    assert "a block of 16 tokens" in (tmp_path / "out" / "notes.json").read_text()
    summary = [row for row in read_summary(tmp_path / "out").to_pylist() if row["statistic"] == "count"]
    units = {row["dataset"]: row["unit"] for row in summary}
    assert {units[name] for name in ("birds", "ships", "bread")} == {"blocks"}
    assert {units[name] for name in ("ask-birds", "ask-ships")} == {"examples"}
    blocks = [row for row in read_measurements(tmp_path / "out").to_pylist() if row["dataset"] == "birds"]
    assert untrac(*evaluate, "--examples").code == 0
    examples = [row for row in read_measurements(tmp_path / "out").to_pylist() if row["dataset"] == "birds"]
    assert len(examples) == 3 * 12 != len(blocks)


def test_what_earlier_versions_had_says_where_it_went():
    with pytest.raises(ImportError, match="SUMMARY_SCHEMA"):
        from lightning_untrac.tables import LOSSES_SCHEMA
    with pytest.raises(ImportError, match="SUMMARY_SCHEMA"):
        from lightning_untrac.results import LOSSES_SCHEMA  # noqa: F401
    with pytest.raises(ImportError, match="summary_table"):
        from lightning_untrac.results import losses_table  # noqa: F401


def test_two_models_share_a_table(tmp_path, losses, model_folders, finished_run):
    output = tmp_path / "out"
    losses(output, name_or_path=model_folders("llama"))
    measured = losses(output, name_or_path=str(finished_run / "model"))
    assert {model for model, _ in measured} == {model_folders("llama"), str(finished_run / "model")}


def test_adapters_are_trained_saved_and_traced(untrac, config, tmp_path):
    output = tmp_path / "out"
    ran = untrac("pretrain", "--config", config(), "--output", output, "--steps", "3", "--model.lora", LORA)
    assert ran.code == 0, ran.text
    assert (output / "model" / "adapter_model.safetensors").is_file()
    assert not (output / "model" / "model.safetensors").exists()
    ran = untrac("trace", "--method", "untrac", "--config", config(model={}), "--output", output, "--steps", "2")
    assert ran.code == 0, ran.text
    assert any(row.influence != 0 for row in InfluenceStore(output).rows())


@pytest.mark.parametrize(("lora", "said"), [("{r: 2, target_modules: [zz]}", "zz"), ("{rank: 2}", "rank")])
def test_adapters_that_cannot_be_made(untrac, config, tmp_path, lora, said):
    ran = untrac(
        "trace",
        "--method",
        "untrac",
        "--config",
        config(),
        "--output",
        tmp_path / "out",
        "--steps",
        "2",
        "--model.lora",
        lora,
    )
    assert ran.code == 2, ran.text
    assert "model.lora" in ran.text
    assert said in ran.text


@pytest.mark.filterwarnings("ignore:.*AutoTokenizer:lightning_untrac.callbacks.save_pretrained.SavedTokenizerWarning")
@pytest.mark.parametrize("tokenizer", ["byte", "lower"])
def test_a_folder_that_pretrain_saved_is_read_as_it_was_trained(
    untrac, config, tmp_path, losses, tokenizer, tiny_configs
):
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    if tokenizer == "lower":
        words = ["<end>", "heron", "wren", "nest", "mast", "keel"]
        backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<end>"))
        backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
        tokenizer = str(tmp_path / "tokenizer")
        PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<end>", eos_token="<end>").save_pretrained(
            tokenizer
        )
    model = {"config": {**tiny_configs["llama"], "model_type": "qwen2"}, "tokenizer": tokenizer}
    output = tmp_path / "out"
    ran = untrac("pretrain", "--config", config(model=model), "--output", output, "--steps", "1")
    assert ran.code == 0, ran.text
    named = losses(tmp_path / "named", name_or_path=str(output / "model"), tokenizer=tokenizer)
    own = losses(tmp_path / "own", name_or_path=str(output / "model"))
    assert own == named
    wrong = untrac(
        "evaluate",
        "--config",
        config(model={"name_or_path": str(output / "model"), "tokenizer": "byte" if tokenizer != "byte" else "gpt2"}),
        "--output",
        tmp_path / "wrong",
    )
    assert wrong.code == 2
    assert "tokenizer" in wrong.text


@pytest.mark.parametrize(
    ("model", "flags", "said"),
    [
        ({"model_type": "bert"}, (), "bert is no causal model"),
        ({"model_type": "mpt", "max_seq_len": 16}, (), "more than the model's context of 16"),
        ({"model_type": "distilbert"}, (), "no language-model head"),
    ],
)
def test_what_is_no_language_model_is_refused_before_step_0(untrac, config, tmp_path, model, flags, said):
    sizes = {"mpt": {"d_model": 16, "n_layers": 1, "n_heads": 2}}.get(model["model_type"], {})
    if model["model_type"] == "bert":
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    ran = untrac(
        "pretrain",
        "--config",
        config(model={"config": {**model, **sizes}, "tokenizer": "byte"}),
        "--output",
        tmp_path / "out",
        "--steps",
        "1",
        *flags,
    )
    assert ran.code == 2, ran.text
    assert said in ran.text
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("flags", [("--model.dtype", "bfloat16"), ("--trainer.precision", "bf16-mixed")])
@pytest.mark.parametrize("method", ["fisher", "arnoldi"])
def test_methods_that_need_float32_refuse_half_precision(untrac, config, tmp_path, method, flags):
    ran = untrac("trace", "--method", method, "--config", config(), "--output", tmp_path / "out", *flags)
    assert ran.code == 2, ran.text
    assert f"{method} needs float32" in ran.text


def test_the_saved_model_counts_and_not_the_configuration_of_a_new_one(untrac, config, run_copy, recipe_content):
    """A file that was written for ``pretrain`` holds ``model.config``, with which later verbs would measure noise."""
    for_pretrain = config(model=recipe_content["model"])
    for flags in (("evaluate",), ("unlearn", "--forget", "birds", "--steps", "1"), ("trace", "--method", "graddot")):
        ran = untrac(flags[0], "--config", for_pretrain, "--output", run_copy, *flags[1:])
        assert ran.code == 0, ran.text
        assert "untrained" not in ran.text
    rows = means(run_copy)
    saved = str(run_copy / "model")
    assert {model for model, step, _ in rows if not step} == {saved}
    pretrained = json.loads((run_copy / "pretrain.json").read_text())
    assert pretrained
    alone = config(model={"name_or_path": saved, "tokenizer": "byte"})
    assert untrac("evaluate", "--config", alone, "--output", run_copy.parent / "alone").code == 0
    expected = {name: row["value"] for (_, _, name), row in means(run_copy.parent / "alone").items()}
    assert {name: row["value"] for (_, step, name), row in rows.items() if step is None} == expected
    # A recipe of later steps alone takes it, too.
    path = run_copy.parent / "later.yaml"
    path.write_text(yaml.safe_dump({**recipe_content, "stages": [{"evaluate": {}}, {"trace": {"method": "graddot"}}]}))
    ran = untrac("run", path, "--output", run_copy)
    assert ran.code == 0, ran.text
    assert "finished already" in ran.text


@pytest.mark.parametrize("verb", [("evaluate",), ("unlearn", "--forget", "birds", "--steps", "1")])
def test_a_new_model_is_said_to_be_untrained(untrac, config, tmp_path, recipe_content, verb):
    asked = config(model=recipe_content["model"])
    ran = untrac(verb[0], "--config", asked, "--output", tmp_path / "out", *verb[1:])
    assert ran.code == 0, ran.text
    assert "the model is untrained" in ran.text
    assert "holds no model/" in (tmp_path / "out" / "notes.json").read_text()


def test_another_evaluation_of_a_model_keeps_the_rows_of_the_first(untrac, config, settings, tmp_path):
    def cells(output):
        tables = read_summary(output).to_pylist(), read_measurements(output).to_pylist()
        return [{(row["measure"], row["dataset"]) for row in rows} for rows in tables]

    output, corpora = tmp_path / "out", settings["data"]["corpora"]
    some = config(data={**settings["data"], "corpora": corpora[:1], "test_sets": []})
    others = config(data={**settings["data"], "corpora": corpora[1:2], "test_sets": []})
    for asked, measures in ((some, "loss"), (some, "memorisation_accuracy"), (others, "loss"), (some, "loss")):
        assert untrac("evaluate", "--config", asked, "--output", output, "--measures", measures).code == 0
    expected = {("loss", "birds"), ("memorisation_accuracy", "birds"), ("loss", "ships")}
    assert cells(output) == [expected, expected]
    counts = [row for row in read_summary(output).to_pylist() if row["statistic"] == "count"]
    assert len(counts) == 3


OWN_PHASE = """
from lightning_untrac import Unlearning

class WarmedUp(Unlearning):
    def objective(self, seen):
        return 0.5 * -seen.forget.mean_loss()

class Renamed(Unlearning):
    pass
"""


@pytest.mark.parametrize(("phase", "method"), [("WarmedUp", "unlearn:WarmedUp"), ("Renamed", "unlearn:GradientAscent")])
def test_a_method_is_named_after_the_class_whose_objective_it_is(untrac, config, tmp_path, monkeypatch, phase, method):
    (tmp_path / "own_phases.py").write_text(OWN_PHASE)
    monkeypatch.syspath_prepend(tmp_path)
    flags = ("--forget", "birds", "--steps", "1", "--model", f"own_phases.{phase}")
    ran = untrac("unlearn", "--config", config(), "--output", tmp_path / "out", *flags)
    assert ran.code == 0, ran.text
    assert {row["method"] for row in read_summary(tmp_path / "out").to_pylist()} == {method}
