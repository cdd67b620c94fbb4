"""What the files of a judgement's passes are named by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lightning_untrac.metrics import find_measures
from lightning_untrac.runs.kept_arrays import described, read_arrays, weights_digest, write_arrays


def test_every_byte_of_a_large_file_counts(tmp_path: Path) -> None:
    """The middle layers alone are what some methods change; a look at both ends would not see it."""
    weights = {"first": torch.zeros(5_000_000), "middle": torch.zeros(1_000), "zlast": torch.zeros(5_000_000)}
    digests = []
    for name, value in (("a", 0.0), ("b", 1.0)):
        (tmp_path / name).mkdir()
        save_file({**weights, "middle": torch.full((1_000,), value)}, tmp_path / name / "model.safetensors")
        digests.append(weights_digest(str(tmp_path / name)))
    assert digests[0] != digests[1]
    assert weights_digest(str(Path(shutil.copytree(tmp_path / "a", tmp_path / "c")))) == digests[0]


def test_a_hub_model_has_none(tmp_path: Path) -> None:
    assert weights_digest("somebody/model") is None
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "somebody/model"})
    )
    assert weights_digest(str(tmp_path / "adapters")) is None


def test_settings_and_the_reference_count(model_folders: Callable[..., str], tmp_path: Path) -> None:
    (usual,), (other,) = find_measures("min_k"), find_measures([{"class_path": "min_k", "init_args": {"share": 0.4}}])
    assert described(usual) != described(other)
    folder = Path(shutil.copytree(model_folders("llama"), tmp_path / "reference"))
    (measure,) = find_measures([{"class_path": "reference_loss", "init_args": {"model": str(folder)}}])
    before = described(measure)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    (folder / "checksums.json").unlink(missing_ok=True)
    (again,) = find_measures([{"class_path": "reference_loss", "init_args": {"model": str(folder)}}])
    assert described(again) != before


def test_arrays_come_back_to_the_last_bit_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    arrays = [np.array([1 / 3, np.nan]), np.zeros(0), np.ones(2)]
    path = tmp_path / "x.npz"
    assert read_arrays(path) is None
    write_arrays(path, [["loss/value", "a"], ["loss/value", "b"], ["loss/weight", "a"]], arrays)
    found = read_arrays(path)
    assert found is not None
    assert found[0] == [["loss/value", "a"], ["loss/value", "b"], ["loss/weight", "a"]]
    for one, other in zip(found[1], arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    path.write_bytes(path.read_bytes()[:40])
    assert read_arrays(path) is None


@pytest.mark.parametrize("name", ["loss", "zlib"])
def test_a_measure_made_twice_is_the_same(name: str) -> None:
    assert described(find_measures(name)[0]) == described(find_measures(name)[0])
