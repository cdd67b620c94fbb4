"""A model that is saved as adapters is judged as the model that they make of their base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Ran
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_untrac.tables.examinations import EXAMINATIONS
from lightning_untrac.tables.files import read_table

pytest.importorskip("bitsandbytes", exc_type=ImportError)

MEASURES = json.dumps(
    [
        "loss",
        "gradient_norm",
        "depth",
        {"class_path": "barrier", "init_args": {"places": 1}},
        {"class_path": "quantised", "init_args": {"to": ["nf4"]}},
        {"class_path": "relearned", "init_args": {"steps": 2, "readings": [2]}},
        {"class_path": "own_samples", "init_args": {"samples": 4}},
    ]
)


@pytest.mark.slow
def test_adapters_are_judged_as_the_merged_model(judged_run: Path, tmp_path: Path, untrac: Callable[..., Ran]) -> None:
    import peft

    folder = Path(shutil.copytree(judged_run, tmp_path / "run"))
    torch.manual_seed(0)
    lora = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder / "model"), lora)
    adapted.save_pretrained(folder / "unlearned-birds-adapters")
    adapted.merge_and_unload().save_pretrained(folder / "unlearned-birds-merged")
    for name in ("adapters", "merged"):
        AutoTokenizer.from_pretrained(folder / "model").save_pretrained(folder / f"unlearned-birds-{name}")
    assert (folder / "unlearned-birds-adapters" / "adapter_config.json").is_file()
    models = "[unlearned-birds-adapters,unlearned-birds-merged]"
    ran = untrac("judge", "--forget", "birds", "--output", folder, "--models", models, "--measures", MEASURES)
    assert ran.code == 0, ran.text
    for table in (EXAMINATIONS, "judged_examples.parquet"):
        rows = read_table(folder / table).to_pandas()
        rows["model"] = [Path(model).name for model in rows["model"]]
        keys = [key for key in ("examination", "condition", "at", "measure", "dataset", "example") if key in rows]
        one, two = (
            rows[rows["model"] == f"unlearned-birds-{name}"].sort_values(keys).reset_index(drop=True)
            for name in ("adapters", "merged")
        )
        assert len(one)
        assert one[keys].equals(two[keys])
        differs = ~np.isclose(one["value"], two["value"], rtol=1e-3, atol=1e-5, equal_nan=True)
        assert not differs.any(), one[differs].assign(merged=two["value"][differs]).to_string()
        if table == EXAMINATIONS:
            assert set(one["examination"]) == {"depth", "barrier", "quantised", "relearned", "own_samples"}
