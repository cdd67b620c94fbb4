"""Measures that need gradients of single examples, where weights are sharded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARDED = ("--trainer.strategy", "fsdp2", "--trainer.accelerator", "cpu")


def test_sharded_weights_are_refused_before_any_work(
    untrac: Callable[..., Any], config: Callable[..., Path], tmp_path: Path
) -> None:
    common = ("--config", config(), "--output", tmp_path / "run", *SHARDED)
    for verb in (("evaluate",), ("unlearn", "--forget", "birds", "--steps", "1")):
        ran = untrac(*verb, *common, "--measures", "loss,gradient_norm,loss_or_not")
        assert ran.code == 2
        assert "'loss_or_not'" in ran.text
        ran = untrac(*verb, *common, "--measures", "loss,gradient_norm")
        assert ran.code == 2
        said = "measures: gradient_norm needs gradients, and each rank holds a part of the weights"
        assert said in ran.text.replace("\n", " "), ran.text
    ran = untrac("evaluate", *common, "--measures", "quick,membership", "--trainer.fast_dev_run", "true")
    assert ran.code == 0, ran.text  # a set goes without
    assert "left out: gradient_norm needs gradients" in ran.text.replace("\n", " ")
    assert not (tmp_path / "run" / "measurements.parquet").exists()
