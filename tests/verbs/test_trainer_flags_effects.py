"""Clipping, limits and precision of the Trainer, held against arithmetic by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

LR = 0.5
SGD = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", str(LR), "--model.optimizer.weight_decay", "0"]

WITNESS = """
import json
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Dtypes(Callback):
    \"\"\"Writes down in what precision the weights, their gradients and the logits of the first step are.\"\"\"

    def __init__(self, path: str):
        self.path, self.seen = Path(path), {}

    def on_train_start(self, trainer, pl_module):
        pl_module.model.register_forward_hook(self.look)

    def look(self, model, arguments, output):
        self.seen.setdefault("logits", str(output.logits.dtype))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        weights = [p for p in pl_module.model.parameters() if p.grad is not None]
        self.seen["weights"] = sorted({str(p.dtype) for p in weights})
        self.seen["gradients"] = sorted({str(p.grad.dtype) for p in weights})
        self.path.write_text(json.dumps(self.seen))
"""


@pytest.fixture
def step(untrac: Any, config: Any, tmp_path: Path, model_folders: Any) -> Any:
    """One step of SGD on all texts of birds at once; the change of each weight, divided by the learning rate."""

    def run(verb: str, **trainer: Any) -> dict[str, torch.Tensor]:
        output = tmp_path / f"{verb}-{len(list(tmp_path.iterdir()))}"
        content = {"trainer": {"accelerator": "cpu", **trainer}}
        arguments = ["--config", config(**content), "--output", output, *SGD, "--data.batch_size", 31, "--steps", 1]
        ran = untrac(verb, *arguments, *(["--forget", "birds", "--objective", "ga"] if verb == "unlearn" else []))
        assert ran.code == 0, ran.text
        after = load_file(output / ("model" if verb == "pretrain" else "unlearned-birds") / "model.safetensors")
        before = load_file(Path(model_folders("llama")) / "model.safetensors")
        return {name: (before[name] - after[name]) / LR for name in before}

    return run


@pytest.fixture
def by_hand(model_folders: Any, text_files: Any) -> Any:
    """The gradient of the mean loss per token, example by example."""

    def gradient(names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        model = AutoModelForCausalLM.from_pretrained(model_folders("llama"))
        total, count = torch.zeros(()), 0
        for name in names:
            for line in text_files[name].read_text().splitlines():
                ids = torch.tensor([1, *(byte + 3 for byte in json.loads(line)["text"].encode())])  # 1 begins a text
                total = total + F.cross_entropy(model(input_ids=ids[None]).logits[0, :-1], ids[1:], reduction="sum")
                count += len(ids) - 1
        (total / count).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    return gradient


@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.parametrize("verb", ["pretrain", "unlearn"])
def test_the_step_is_the_clipped_gradient(verb: str, algorithm: str, step: Any, by_hand: Any) -> None:
    sign, names = (1, ("birds", "ships", "bread")) if verb == "pretrain" else (-1, ("birds",))
    gradient = {name: sign * g for name, g in by_hand(names).items()}
    norm = torch.cat([g.flatten() for g in gradient.values()]).norm()
    largest = max(g.abs().max() for g in gradient.values())
    if algorithm == "norm":
        limit = 0.3 * float(norm)
        expected = {name: g * 0.3 for name, g in gradient.items()}
    else:
        limit = 0.1 * float(largest)
        expected = {name: g.clamp(-limit, limit) for name, g in gradient.items()}
    plain = step(verb)
    clipped = step(verb, gradient_clip_val=limit, gradient_clip_algorithm=algorithm)
    for name, change in plain.items():
        torch.testing.assert_close(change, gradient[name], rtol=1e-3, atol=2e-6)
        torch.testing.assert_close(clipped[name], expected[name], rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize(("limit", "steps"), [(3, 6), (0.5, 8), (1.0, 16)])
def test_a_pass_ends_after_so_many_batches(
    limit: Any, steps: int, untrac: Any, config: Any, recipe_content: Any, tmp_path: Path
) -> None:
    """12 + 9 + 10 examples in batches of 4 are 8 batches a pass, and there are two passes."""
    trainer = {"accelerator": "cpu", "limit_train_batches": limit, "max_epochs": 2}
    path = config(model=recipe_content["model"], trainer=trainer)
    ran = untrac("pretrain", "--config", path, "--output", tmp_path / "out")
    assert ran.code == 0, ran.text
    assert json.loads((tmp_path / "out" / "pretrain.json").read_text())["steps"] == steps


@pytest.mark.parametrize("verb", ["pretrain", "unlearn"])
@pytest.mark.parametrize(
    ("precision", "weights", "logits"),
    [
        ("32-true", "float32", "float32"),
        ("64-true", "float64", "float64"),
        ("bf16-true", "bfloat16", "bfloat16"),
        ("bf16-mixed", "float32", "bfloat16"),
    ],
)
def test_the_arithmetic_is_done_in_the_precision_that_was_asked_for(
    verb: str, precision: str, weights: str, logits: str, untrac: Any, config: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "my_witness.py").write_text(WITNESS)
    monkeypatch.syspath_prepend(tmp_path)
    seen = tmp_path / "seen.json"
    callback = {"class_path": "my_witness.Dtypes", "init_args": {"path": str(seen)}}
    path = config(trainer={"accelerator": "cpu", "precision": precision, "callbacks": [callback]})
    forget = ["--forget", "birds"] if verb == "unlearn" else []
    ran = untrac(verb, "--config", path, "--output", tmp_path / "out", *SGD, "--steps", 1, *forget)
    assert ran.code == 0, ran.text
    expected = {"logits": f"torch.{logits}", "weights": [f"torch.{weights}"], "gradients": [f"torch.{weights}"]}
    assert json.loads(seen.read_text()) == expected
