"""What tests of unlearning single texts look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file


def weights(model: Path, file: str = "model.safetensors") -> dict[str, torch.Tensor]:
    """What a saved model holds."""
    return load_file(model / file)


def losses_and_accuracies(model: str | Path, texts: Path) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """The model, and mean loss and accuracy of each text, by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line)["text"] for line in texts.read_text().splitlines()]
    encoded = [tokenizer(row, add_special_tokens=False)["input_ids"] for row in rows]
    ids = torch.tensor([[tokenizer.eos_token_id, *row] for row in encoded])
    logits = network(input_ids=ids).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(dim=1)
    return network, losses, (logits.argmax(-1) == ids[:, 1:]).double().mean(dim=1)


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch, untrac: Any, command: Any) -> None:
    """Run a command until an error after a step, before its checkpoint."""
    from lightning_untrac.runs.checkpoints import ResumeCheckpoints

    save = ResumeCheckpoints.on_train_batch_end

    def cut(self: Any, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == step:
            raise RuntimeError("cut here")
        save(self, trainer, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(ResumeCheckpoints, "on_train_batch_end", cut)
        with pytest.raises(RuntimeError, match="cut here"):
            untrac(*command)


def passes(folder: Path, name: str = "") -> list[tuple[int, str, float]]:
    """Step, statistic and value of what a method has measured between readings.

    Args:
        folder: of the run.
        name: of the command, where it has one.
    """
    from lightning_untrac.tables import read_summary

    rows = read_summary(folder)
    assert rows is not None
    return sorted(
        (row["step"], row["statistic"], row["value"])
        for row in rows.to_pylist()
        if row["statistic"].startswith("pass_") and row["method"].endswith(name and f"[{name}]")
    )
