"""Every method against leave-out retraining, on several settings, models and seeds: quality and cost in one run.

    python benchmarks/attribution.py --folder runs/attribution                 everything: hours on two cores
    python benchmarks/attribution.py --folder runs/attribution --settings builtin --seeds 0 --methods untrac,graddot
    python benchmarks/attribution.py --folder runs/attribution --report        the table and the picture of it

A seed is a model of its own: first weights, order of training, retraining and tracing all follow it. Every step is the
command line's, in a process of its own, so that time and peak memory are each method's own; the same command again goes
on where it stopped. ``recipes/attribution_benchmark.yaml`` is the same for the built-in corpora as one recipe.

Settings: ``builtin`` (the quickstart's six corpora), ``two_by_two`` (the UnTrac paper's design), ``real_equal`` and
``real_unequal`` (text that is installed on this machine, see ``real_text.py``). Models: ``llama`` (0.1M parameters),
``gpt2`` (0.1M) and ``llama_large`` (0.8M). ``--learning-rate 4`` pretrains with four times the usual learning rate.
``--plan`` asks ``untrac plan`` first and holds what it says against what the methods then take.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from attribution_report import report
from real_text import CORPORA, write_corpora

STEPS, BATCH_SIZE, LEARNING_RATE = 400, 16, 6e-3
WORLD = ("encyclopedia", "news", "forum", "fiction", "chat", "code")
EQUAL = dict.fromkeys(CORPORA, 60_000)
UNEQUAL = dict(zip(CORPORA, (120_000, 20_000, 90_000, 40_000, 60_000, 30_000), strict=True))
METHODS = (
    "untrac,untrac_inv,continuation,graddot,gradcos,centred_graddot,fisher,fisher_inv,ekfac,lissa,arnoldi,bm25,"
    "token_overlap,embedding"
)


def model_config(name: str) -> dict[str, Any]:
    """A model from scratch."""
    if name == "gpt2":
        sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}
        return {"model_type": "gpt2", **sizes, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
                "initializer_range": 0.08}  # fmt: skip
    width, layers = (128, 4) if name == "llama_large" else (64, 2)
    return {
        "model_type": "llama", "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128, "tie_word_embeddings": True,
        "initializer_range": 0.08 if name == "llama" else 0.05,
    }  # fmt: skip


def data_config(setting: str, folder: Path) -> dict[str, Any]:
    """Corpora and test sets."""
    if setting == "two_by_two":
        family = "builtin:next_number"
        pairs = {"prompt": "prompt", "target": "target"}
        names = ("similar_same", "similar_different", "dissimilar_same", "dissimilar_different")
        return {
            "max_length": 128,
            "corpora": [{"name": name, "path": f"{family}/{name}", **pairs} for name in names],
            "test_sets": [{"name": "next_number", "path": f"{family}/test", **pairs}],
        }
    common = {"block_size": 128, "max_length": 128, "corpus_eval_examples": 96}
    if setting == "builtin":
        behaviours = ("toxicity", "bias", "untruthfulness")
        return {
            **common,
            "corpora": [{"name": name, "path": f"builtin:world/{name}"} for name in WORLD],
            "test_sets": [{"name": name, "path": f"builtin:world/{name}"} for name in behaviours],
        }
    corpora, test_sets = write_corpora(folder / "texts", UNEQUAL if setting == "real_unequal" else EQUAL)
    return {
        **common,
        "corpora": [{"name": path.stem, "path": str(path)} for path in corpora],
        "test_sets": [{"name": path.stem, "path": str(path)} for path in test_sets],
    }


def training_config(data: dict[str, Any], rate: float, trainer: dict[str, Any]) -> dict[str, Any]:
    """How every model is trained and retrained."""
    optimizer = {
        "class_path": "torch.optim.AdamW",
        "init_args": {"lr": rate, "betas": [0.9, 0.99], "weight_decay": 0.0},
    }
    schedule = {"max_lr": rate, "total_steps": STEPS, "pct_start": 0.05, "cycle_momentum": False}
    lr_scheduler = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": schedule}
    return {
        "model": {"optimizer": optimizer, "lr_scheduler": lr_scheduler},
        "data": {**data, "batch_size": BATCH_SIZE},
        "trainer": {**trainer, "gradient_clip_val": 1.0},
    }


@dataclass
class Case:
    """One trained model, its truth and its methods."""

    setting: str
    model: str
    seed: int
    learning_rate: float
    folder: Path

    @property
    def output(self) -> Path:
        """The output folder of all its steps."""
        rate = "" if self.learning_rate == 1 else f"-lr{self.learning_rate:g}"
        return self.folder / f"{self.setting}-{self.model}{rate}-seed{self.seed}"

    @property
    def kind(self) -> str:
        """What it has in common with the other seeds."""
        rate = "" if self.learning_rate == 1 else f", learning rate x{self.learning_rate:g}"
        return f"{self.setting}, {self.model}{rate}"

    def run(self, methods: list[str], plan: bool = False) -> None:
        """Train, retrain and trace; what is finished is passed over."""
        data = data_config(self.setting, self.folder / self.setting)
        training = training_config(data, LEARNING_RATE * self.learning_rate, {"accelerator": "cpu"})
        scratch = {**training["model"], "config": model_config(self.model), "tokenizer": "byte", "init_seed": self.seed}
        self._verb("pretrain", {**training, "model": scratch}, "--steps", STEPS, "--seed", self.seed)
        seeds = f"[{self.seed}]"
        tracing = {"data": data, "trainer": {"accelerator": "cpu"}}
        if plan:
            saved = self.output.parent / f"{self.output.name}.plan.json"
            self._verb("plan", tracing, "--save", saved, "--methods", ",".join(methods))
        self._verb("leave-out", training, "--seeds", seeds)
        for method in methods:
            self._verb("trace", tracing, "--method", method, "--seeds", seeds, allowed=True)

    def _verb(self, verb: str, config: dict[str, Any], *options: Any, allowed: bool = False) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        path = self.output.parent / f"{self.output.name}.{verb}.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "lightning_untrac", verb, "--config", path, "--output", self.output, *options]
        start = time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        label = f"{self.output.name}: {verb} {' '.join(map(str, options[:2]))}"
        if done.returncode and not allowed:
            raise RuntimeError(f"{label}\n{done.stdout}\n{done.stderr}")
        last = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
        print(f"{label}: {time.perf_counter() - start:.0f} s {last}", flush=True)


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", default="builtin,two_by_two,real_equal,real_unequal")
    parser.add_argument("--models", default="llama")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--learning-rate", type=float, default=1.0, help="times the usual one")
    parser.add_argument("--plan", action="store_true", help="ask `untrac plan` first, and compare")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cases: list[Case] = []
    for setting in given.settings.split(","):
        for model in given.models.split(","):
            for seed in map(int, given.seeds.split(",")):
                case = Case(setting, model, seed, given.learning_rate, given.folder)
                if not given.report:
                    case.run(given.methods.split(","), given.plan)
                if (case.output / "influence.parquet").exists():
                    cases.append(case)
    if cases:
        report({case.kind: [c.output for c in cases if c.kind == case.kind] for case in cases}, given.folder)


if __name__ == "__main__":
    main()
