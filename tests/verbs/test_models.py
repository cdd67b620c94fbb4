"""``unlearn`` and ``evaluate``, and models with LoRA adapters."""

from __future__ import annotations

import math

import pyarrow.parquet as pq
import pytest

from lightning_untrac.results import InfluenceStore

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
