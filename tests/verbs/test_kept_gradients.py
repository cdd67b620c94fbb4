"""``judge``: gradients of a forget set under the models that the original's training kept, against torch alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.memorisation import MEMORISATION, MEMORISATION_SUMMARY

LEFT_OUT = "kept_gradient_norm (squared gradient norm in training) is left out"
KEPT = {0: "initial_model", 4: "model"}


@pytest.fixture
def kept_run(judged_run: Path, tmp_path: Path) -> Path:
    """A judged folder whose training has kept its first and its last model."""
    folder = Path(shutil.copytree(judged_run, tmp_path / "run"))
    for step, model in KEPT.items():
        kept = folder / "models" / f"step-{step}"
        shutil.copytree(folder / model, kept)
        kept.with_name(f"{kept.name}.json").write_text(json.dumps({"step": step, "learning_rate": 0.1}))
    return folder


def test_without_kept_models_it_is_left_out_and_that_is_said_once(judged_run: Path) -> None:
    said = (judged_run.parent / "said.txt").read_text()
    assert said.count(LEFT_OUT) == 1
    assert "`untrac pretrain --keep_models_at" in said
    assert "kept_gradient_norm" not in set(read_table(judged_run / MEMORISATION).to_pandas()["measure"])


def test_each_value_is_the_mean_of_squared_norms_over_kept_models(
    kept_run: Path, untrac: Callable[..., Any], text_files: dict[str, Path]
) -> None:
    given = ("judge", "--forget", "birds", "--output", kept_run, "--models", "[unlearned-birds]", "--measures", "loss")
    ran = untrac(*given)
    assert ran.code == 0, ran.text
    assert LEFT_OUT not in ran.text
    assert "Squared gradient norm in training" in ran.text
    rows = read_table(kept_run / MEMORISATION).to_pandas()
    rows = rows[rows["measure"] == "kept_gradient_norm"].sort_values("example")
    assert set(rows["role"]) == {"original"}
    found = rows["value"].tolist()
    tokenizer = AutoTokenizer.from_pretrained(kept_run / "model")
    models = [AutoModelForCausalLM.from_pretrained(kept_run / "models" / f"step-{step}").eval() for step in KEPT]
    lines = text_files["birds"].read_text().splitlines()
    assert len(found) == len(lines)
    for value, line in zip(found, lines, strict=True):
        ids = tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
        tokens, total = torch.tensor([[tokenizer.eos_token_id, *ids]]), 0.0
        for model in models:
            model.zero_grad()
            model(tokens, labels=tokens).loss.backward()
            total += sum(parameter.grad.double().square().sum().item() for parameter in model.parameters())
        assert value == pytest.approx(total / len(models), rel=1e-4)
    summary = read_table(kept_run / MEMORISATION_SUMMARY).to_pandas()
    mean = summary[(summary["measure"] == "kept_gradient_norm") & (summary["statistic"] == "mean")]["value"]
    assert mean.item() == pytest.approx(sum(found) / len(found))


def test_sharded_weights_leave_it_out_and_a_damaged_model_is_told_before_any_work(
    kept_run: Path, untrac: Callable[..., Any]
) -> None:
    given = ("judge", "--forget", "birds", "--output", kept_run, "--models", "[unlearned-birds]", "--measures", "loss")
    weights = kept_run / "models" / "step-4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    ran = untrac(*given)
    assert ran.code == 2
    assert "step-4: model.safetensors" in ran.text.replace("\n", "")
    shutil.rmtree(weights.parent)
    ran = untrac(*given, "--trainer.strategy", "fsdp2", "--trainer.accelerator", "cpu")
    assert ran.code == 0, ran.text
    assert f"{LEFT_OUT}: each rank holds a part of the weights" in " ".join(ran.text.split())
