"""How sure may one order of batches be? Continuation under many seeds of one model, and what each interval says.

    python benchmarks/batch_order.py --folder runs/batch_order [--settings four,six] [--seeds 32]
    python benchmarks/batch_order.py --folder runs/batch_order --report

The truth is the mean over all seeds: the influence over batch orders, of one trained model. Each way sees one seed, or
a few, and is asked three things: how often its 95 % intervals hold the truth, how often it says "ahead of all others"
of a corpus that is not the truth's first, and how often it says so rightly. Test sets are drawn with replacement from
the 64 parts that readings keep, so that chance in the examples is in what intervals must hold too.

Corpora are real text of this machine (``real_text.py``): four of 384 rows of 64 bytes, or six of unequal size. Test
sets are new documents of two corpora, comments, and random printable characters, which come from no corpus.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from real_text import documents

from lightning_untrac.cli import main as untrac

LENGTH, PRETRAINING, EXAMPLES = 64, 400, 128
ROWS = {
    "four": {"source": 384, "readmes": 384, "licences": 384, "headers": 384},
    "six": {"source": 1200, "docstrings": 200, "licences": 900, "readmes": 400, "headers": 600, "stubs": 300},
}
MODEL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": LENGTH,
    "tie_word_embeddings": True, "initializer_range": 0.08,
}  # fmt: skip


def _rows(kind: str) -> list[str]:
    """Pieces of exactly ``LENGTH`` bytes."""
    if kind == "random":
        generator = random.Random(0)
        return ["".join(generator.choices(string.printable[:95], k=LENGTH - 1)) for _ in range(EXAMPLES)]
    text = "\n".join(documents(kind)).encode("ascii", errors="ignore").decode()
    return [text[start : start + LENGTH - 1] for start in range(0, len(text) - LENGTH, LENGTH - 1)]


def _data(setting: str, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)

    def dataset(name: str, texts: Sequence[str]) -> dict[str, str]:
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        return {"name": name, "path": str(path)}

    corpora, test_sets = [], []
    for kind, wanted in ROWS[setting].items():
        rows = _rows(kind)
        corpora.append(dataset(kind, rows[EXAMPLES : EXAMPLES + wanted]))
        if kind in ("readmes", "headers"):
            test_sets.append(dataset(f"new_{kind}", rows[:EXAMPLES]))
    test_sets += [dataset(name, _rows(name)[:EXAMPLES]) for name in ("comments", "random")]
    return {"max_length": LENGTH, "corpora": corpora, "test_sets": test_sets}


def measure(setting: str, output: Path, seeds: int) -> None:
    """Train a model and trace it under many orders of batches."""
    data = _data(setting, output.parent / f"{setting}-texts")
    adamw = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 6e-3, "betas": [0.9, 0.99], "weight_decay": 0.0}}
    cycle = {"max_lr": 6e-3, "total_steps": PRETRAINING, "pct_start": 0.05, "cycle_momentum": False}
    scheduler = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": cycle}
    scratch = {"config": MODEL, "tokenizer": "byte", "optimizer": adamw, "lr_scheduler": scheduler}
    configs = {
        "pretrain": {"model": scratch, "data": {**data, "batch_size": 16}, "trainer": {"gradient_clip_val": 1.0}},
        "trace": {"data": data, "trainer": {}},
    }
    options = {"pretrain": ["--steps", PRETRAINING],
               "trace": ["--method", "continuation", "--readings", 4, "--seeds", list(range(seeds))]}  # fmt: skip
    for verb, config in configs.items():
        config["trainer"] |= {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
        path = output.parent / f"{setting}-{verb}.yaml"
        path.write_text(yaml.safe_dump(config))
        untrac([verb, "--config", str(path), "--output", str(output), *map(str, options[verb])])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", default="four,six")
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for setting in given.settings.split(","):
        if not given.report:
            measure(setting, given.folder / setting, given.seeds)
