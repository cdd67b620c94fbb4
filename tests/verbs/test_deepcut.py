"""DeepCUT on a classifier, from the command line: partners in every step, views by dropout, a rule to stop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml
from commands import run_untrac
from safetensors.torch import load_file

from lightning_untrac.tables import read_summary

DESKS = ["garden", "harbour", "kitchen", "weather"]


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory, cache_folder: str) -> Any:
    """What a command says that lets a classifier of the built-in notes forget some; the folder is trained once."""
    folder = tmp_path_factory.mktemp("deepcut")
    sizes = {"rest": 240, "forget": 48, "test": 64}
    parts = {name: {"name": name, "path": f"builtin:topics/{name}", "num_examples": n} for name, n in sizes.items()}
    bert = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 32}  # fmt: skip
    data = {
        "data": {"corpora": [parts["rest"], parts["forget"]], "test_sets": [parts["test"]], "batch_size": 32,
                 "cache_folder": cache_folder},
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
    }  # fmt: skip
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.005}}
    model = {"tokenizer": "words", "labels": DESKS, "config": bert, "optimizer": adam}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
    (folder / "config.yaml").write_text(yaml.safe_dump(data | {"model": model}))
    output = folder / "run"
    ran = run_untrac("pretrain", "--config", folder / "config.yaml", "--output", output, "--trainer.max_epochs", "12")
    assert ran.code == 0, ran.text

    def run(*arguments: Any) -> Any:
        given = ("--config", folder / "data.yaml", "--output", output, "--forget", "forget", "--predict", "false")
        return run_untrac("unlearn", *given, *arguments), output

    return run


def test_it_forgets_what_it_should_and_keeps_the_rest(forgotten: Any) -> None:
    ran, output = forgotten(
        "--objective", "deepcut", "--retain", "loss", "--passes", "12", "--readings", "12", "--model.optimizer",
        "torch.optim.Adam", "--model.optimizer.lr", "0.002", "--stop_at", "accuracy<=0.65",
        "--data.retained_per_example", "3", "--model.unlearning_objective.forget.detach_retained", "true",
    )  # fmt: skip
    assert ran.code == 0, ran.text
    rows = [row for row in read_summary(output).to_pylist() if row["statistic"] == "mean"]
    rows = [row for row in rows if row["measure"] == "accuracy"]
    course = {(row["step"] or 0, row["dataset"]): row["value"] for row in rows}
    last = max(step for step, _ in course)
    before, after = course[0, "forget"], course[last, "forget"]
    assert before > 0.8
    assert after <= 0.65
    assert "forget's accuracy" in ran.text
    assert "is at most 0.65" in ran.text
    assert course[last, "rest"] > course[0, "rest"]


def test_a_projection_head_is_thrown_away(forgotten: Any) -> None:
    way = ("--objective", "deepcut", "--retain", "loss", "--steps", "2", "--readings", "1", "--checkpoint_every", "1")
    head = ("--model.unlearning_objective.forget.projection", "8")
    ran, output = forgotten("--name", "headed", "--keep_checkpoints", "true", *way, *head)
    assert ran.code == 0, ran.text
    newest = torch.load(output / "checkpoints" / "unlearn-forget-headed" / "step=2.ckpt", weights_only=True)
    assert [tuple(newest["state_dict"][f"term_layers.0.layers.{name}"].shape) for name in ("0.weight", "2.weight")] == [
        (32, 32), (8, 32),
    ]  # fmt: skip
    saved = load_file(output / "unlearned-forget-headed" / "model.safetensors")
    assert saved.keys() == load_file(output / "model" / "model.safetensors").keys()
    ran, _ = forgotten("--name", "plain", *way)
    assert ran.code == 0, ran.text
    plain = load_file(output / "unlearned-forget-plain" / "model.safetensors")
    assert any(not torch.equal(plain[name], saved[name]) for name in saved)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data.batch_size", "1"], "data.batch_size: a step has 1 retained example"),
        (["--trainer.accumulate_grad_batches", "2"], "DeepCUT holds a step's examples against each other"),
    ],
)
def test_what_leaves_a_sample_without_partners_is_said(arguments: list[str], words: str, forgotten: Any) -> None:
    ran, _ = forgotten("--name", f"refused-{arguments[-1]}", "--objective", "deepcut", "--retain", "loss", *arguments)
    assert ran.code != 0
    assert words in ran.text
