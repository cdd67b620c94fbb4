"""An optimizer that the user names has its own defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_untrac.verbs import pretrain


def optimizer(tmp_path: Path, *flags: Any) -> dict[str, Any]:
    parsed = pretrain.arguments([
        "--output", str(tmp_path), "--model.config", "{model_type: gpt2}", "--model.tokenizer", "byte",
        "--data.corpora", "[{path: 'builtin:world/forum', name: forum}]", *flags,
    ])  # fmt: skip
    found = parsed.config.model.init_args.optimizer
    return {"class": found.class_path.rpartition(".")[2], **found.init_args.as_dict()}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {"class": "AdamW", "lr": 1e-3, "weight_decay": 0.01}),
        (("--model.optimizer", "torch.optim.SGD"), {"class": "SGD", "lr": 1e-3, "weight_decay": 0}),
        (("--model.optimizer=torch.optim.Adadelta",), {"class": "Adadelta", "lr": 1.0, "weight_decay": 0}),
        (
            ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.weight_decay", "0.01"),
            {"class": "SGD", "weight_decay": 0.01},
        ),
        (
            ("--model.optimizer", "{class_path: torch.optim.SGD, init_args: {weight_decay: 0.01}}"),
            {"class": "SGD", "weight_decay": 0.01},
        ),
        (
            ({"model": {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.001}}}},),
            {"class": "Adam", "lr": 1e-3, "weight_decay": 0},
        ),
    ],
)
def test_nothing_of_the_default_class_stays(tmp_path: Path, flags: Any, expected: dict[str, Any]) -> None:
    found = optimizer(tmp_path, *flags)
    assert {key: found[key] for key in expected} == expected
