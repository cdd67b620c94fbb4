"""``untrac evaluate --reference``: a measure held against the other model, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lightning_untrac.tables import read_measurements


def test_the_loss_minus_the_references_is_made_of_both_losses(
    untrac: Callable[..., Any], config: Callable[..., Path], model_folders: Callable[..., str], tmp_path: Path
) -> None:
    model, reference = model_folders("llama"), model_folders("gpt2")
    common = ("evaluate", "--config", config(), "--output", tmp_path / "run", "--measures", "loss,reference_loss")
    ran = untrac(*common)
    assert ran.code == 2
    assert "reference_loss needs reference_log_probs" in ran.text
    ran = untrac(*common, "--reference", reference)
    assert ran.code == 0, ran.text
    rows = read_measurements(tmp_path / "run").to_pandas().sort_values(["dataset", "example"])
    values = {key: one["value"].to_numpy() for key, one in rows.groupby(["model", "measure"])}
    gap = values[model, "loss"] - values[reference, "loss"]
    np.testing.assert_allclose(values[model, "reference_loss"], gap, atol=1e-6)
    assert not values[reference, "reference_loss"].any()
    assert np.abs(gap).max() > 1e-3
