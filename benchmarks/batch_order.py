"""How sure may one order of batches be? Continuation under many seeds of one model, and what each interval says.

    python benchmarks/batch_order.py --folder runs/batch_order [--settings four,six] [--seeds 20]
    python benchmarks/batch_order.py --folder runs/batch_order --report

The truth is the mean over all other seeds: the influence over orders of batches, of one trained model on one test set.
Each way sees one seed, or a few, and is asked how often its 95 % intervals hold the truth, how wide they are, and how
often it is sure of a first corpus, rightly and wrongly. Intervals are widened for the noise of the truth itself.

Corpora are real text of this machine (``real_text.py``): four of 384 rows of 64 bytes, or six of unequal size. Test
sets are new documents of two corpora, comments, and random printable characters, which come from no corpus.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from real_text import documents

from lightning_untrac.attribution import Continuation
from lightning_untrac.cli import main as untrac
from lightning_untrac.results import influence_intervals, influence_matrix
from lightning_untrac.tables import InfluenceRow, InfluenceStore

METHOD, MOST_SUBSETS = Continuation.method, 100
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


Rows = dict[int, list[InfluenceRow]]
"""Readings by seed."""


def _examples_only(rows: Sequence[InfluenceRow]) -> list[InfluenceRow]:
    return [row for row in rows if row.final]


def _order_only(rows: Sequence[InfluenceRow]) -> list[InfluenceRow]:
    """Without the parts, from which chance in the examples is told: the truth has the same test set."""
    return [replace(row, part_losses_before=None, part_losses_after=None, part_weights=None) for row in rows]


WAYS: dict[str, tuple[int, Callable[[Sequence[InfluenceRow]], list[InfluenceRow]]]] = {
    "one seed, examples only": (1, _examples_only),
    "one seed, its steps": (1, _order_only),
    "two seeds": (2, _order_only),
    "three seeds": (3, _order_only),
}
"""How many seeds, and which rows of them an interval is drawn from."""


def finished(output: Path) -> Rows:
    """The rows of the seeds that are finished."""
    by_seed: Rows = {}
    for row in InfluenceStore(output).rows():
        by_seed.setdefault(row.seed, []).append(row)
    most = max(map(len, by_seed.values()))
    return {seed: rows for seed, rows in by_seed.items() if len(rows) == most}


def judge(by_seed: Rows, way: str) -> dict[str, list[float]]:
    """By test set: coverage, mean half width, how often a first corpus is named, and how often wrongly."""
    count, chosen = WAYS[way]
    subsets = list(itertools.combinations(by_seed, count))
    subsets = random.Random(0).sample(subsets, min(len(subsets), MOST_SUBSETS))
    found: dict[str, list[list[float]]] = {}
    for subset in subsets:
        others = [row for seed, rows in by_seed.items() if seed not in subset for row in rows if row.final]
        truth = influence_matrix(others, METHOD)
        rows = chosen([row for seed in subset for row in by_seed[seed]])
        intervals = influence_intervals(rows, METHOD, corpora=truth.corpora, test_sets=truth.test_sets)
        assert intervals is not None
        half = intervals.half_widths * (1 + count / (len(by_seed) - count)) ** 0.5
        held = abs(intervals.matrix.values - truth.values) <= half
        for column, test_set in enumerate(truth.test_sets):
            leaders = intervals.leaders(test_set)
            sure = len(leaders) == 1 and leaders[0] in intervals.away_from_zero(test_set)
            wrong = sure and leaders[0] != truth.corpora[int(truth.values[:, column].argmax())]
            numbers = [held[:, column].mean(), intervals.half_widths[:, column].mean(), sure, wrong]
            found.setdefault(test_set, []).append([float(number) for number in numbers])
    return {test_set: np.mean(numbers, axis=0).tolist() for test_set, numbers in found.items()}


def report(setting: str, output: Path) -> None:
    """Print a table of the ways."""
    by_seed = finished(output)
    print(f"{setting}: {len(by_seed)} seeds")
    for way in WAYS:
        for test_set, (held, half, sure, wrong) in judge(by_seed, way).items():
            numbers = f"held {held:.2f}, half width {half:.4f}, sure {sure:.2f}, wrongly {wrong:.2f}"
            print(f"  {way:<24} {test_set:<12} {numbers}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", default="four,six")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for setting in given.settings.split(","):
        if not given.report:
            measure(setting, given.folder / setting, given.seeds)
        report(setting, given.folder / setting)
