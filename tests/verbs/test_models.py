"""``unlearn`` and ``evaluate``, and models with LoRA adapters."""

from __future__ import annotations

import math

import pyarrow.parquet as pq
import pytest

from lightning_untrac.tables import InfluenceStore

LORA = "{r: 2, target_modules: [q_proj, v_proj]}"


@pytest.fixture
def losses(untrac, config):
    def measure(output, *flags, **model):
        ran = untrac("evaluate", "--config", config(model=model), "--output", output, *flags)
        assert ran.code == 0, ran.text
        return {(row["model"], row["dataset"]): row for row in pq.read_table(output / "losses.parquet").to_pylist()}

    return measure


def test_unlearning_makes_the_forgotten_set_worse_and_keeps_the_model(untrac, config, tmp_path, losses, model_folders):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = tmp_path / "out"
    unlearn = ("unlearn", "--config", config(), "--output", output, "--forget", "birds", "--steps", "5")
    ran = untrac(*unlearn, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5")
    assert ran.code == 0, ran.text
    unlearned = str(output / "unlearned-birds")
    AutoModelForCausalLM.from_pretrained(unlearned)
    AutoTokenizer.from_pretrained(unlearned)
    reported = {r["dataset"]: r for r in pq.read_table(output / "losses.parquet").to_pylist()}
    assert reported["birds"]["difference"] > 0
    measured = losses(tmp_path / "again", "--reference", model_folders("llama"), name_or_path=unlearned)
    for name, row in reported.items():
        again = measured[unlearned, name]
        assert again["loss"] == pytest.approx(row["loss"], abs=1e-6)
        assert again["difference"] == pytest.approx(row["difference"], abs=1e-6)
    again = untrac(*unlearn, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.5")
    assert "finished already" in again.text


def test_examples_add_up_to_the_loss(tmp_path, losses, model_folders):
    output = tmp_path / "out"
    measured = losses(output, "--examples", name_or_path=model_folders("llama"))
    rows = pq.read_table(output / "example_losses.parquet").to_pylist()
    for (_, name), row in measured.items():
        mine = [r for r in rows if r["dataset"] == name]
        assert len(mine) == row["num_examples"]
        assert math.fsum(r["loss"] for r in mine) / sum(r["num_tokens"] for r in mine) == pytest.approx(row["loss"])


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
