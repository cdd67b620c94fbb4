"""``untrac unlearn --method finetune``: training on, on what stays alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.tables import read_summary

RATE = 0.5
PLAIN = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", RATE)


def texts_of(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def mean_loss(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Over all target tokens; each text begins with EOS, and everything after that is a target."""
    total, count = torch.zeros(()), 0
    for text in texts:
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        total = total + model(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return total / count


def test_a_step_descends_the_loss_of_what_stays(run_copy: Path, untrac: Any, text_files: dict[str, Path]) -> None:
    ran = untrac(
        *("unlearn", "--forget", "birds", "--method", "finetune", "--steps", 1, "--readings", 1, *PLAIN),
        *("--data.batch_size", 10_000, "--output", run_copy),
    )
    assert ran.code == 0, ran.text
    model = AutoModelForCausalLM.from_pretrained(run_copy / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run_copy / "model")
    kept = texts_of(text_files["ships"]) + texts_of(text_files["bread"])
    mean_loss(model, tokenizer, kept).backward()
    found = load_file(run_copy / "unlearned-birds" / "model.safetensors")
    assert found.keys() <= dict(model.named_parameters()).keys()
    for name, weights in model.named_parameters():
        torch.testing.assert_close(found[name], (weights - RATE * weights.grad).detach(), rtol=0, atol=2e-6)


def test_the_forget_set_is_read_and_makes_no_difference(
    run_copy: Path, untrac: Any, config: Any, settings: Any, text_files: dict[str, Path], tmp_path: Path
) -> None:
    birds, *others = settings["data"]["corpora"]
    apart = {**settings["data"], "corpora": others, "forget": [{**birds, "path": str(text_files["ask-birds"])}]}
    size = {"batch_size": 8}
    weights = []
    for output, data in (("with", settings["data"]), ("other", apart)):
        given = config(model={"name_or_path": str(run_copy / "model")}, data={**data, **size})
        ran = untrac(
            *("unlearn", "--config", given, "--forget", "birds", "--method", "finetune", "--readings", 2),
            *("--stop_at_retained_rise", 9, "--output", tmp_path / output),
        )
        assert ran.code == 0, ran.text
        weights.append((tmp_path / output / "unlearned-birds" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    kept = sum(len(texts_of(text_files[name])) for name in ("ships", "bread"))
    rows = read_summary(tmp_path / "with").to_pylist()
    assert max(row["step"] or 0 for row in rows) == math.ceil(kept / 8)  # a pass over what stays
    assert {"unlearn:FineTune"} == {row["method"] for row in rows if row["step"]}
    assert "birds" in {row["dataset"] for row in rows if row["step"]}
    assert "is not more than 9 above its start" in " ".join(ran.text.split())
