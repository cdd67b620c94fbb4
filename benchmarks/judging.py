"""Which measures to believe: do they tell models that were trained with a set from models that were not?

    python benchmarks/judging.py --folder runs/judging_bench                    everything
    python benchmarks/judging.py --folder runs/judging_bench --models 4 --steps 100
    python benchmarks/judging.py --folder runs/judging_bench --report           the table of what is there

So many models of 0.1M parameters are trained with 128 planted texts (each stands 1, 4 or 16 times in training) and so
many without, all from first weights and data orders of their own. One of each is the original and the retrained model
of a judgement; the others, and what four objectives make of the original, are judged by one `untrac judge`. A measure's
number of a model is its mean over the 128 texts, an attack's the AUC against 128 unseen texts of the same kinds.

- faithful: AUC of the numbers of models trained with the texts against those of models trained without (as a 2026 study
  of 20 measures does with 30 against 30), with a bootstrap over models of each side.
- Q and R: how little quantisation to nf4 moves the number of an unlearned model, and how alike relearning moves it and
  the retrained one, by the symmetric forms; means over the unlearned models.

The same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from in_process import run
from judging_report import ROBUSTNESS, report

FORGET = "planted_in"
MODEL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128, "tie_word_embeddings": True,
    "initializer_range": 0.08,
}  # fmt: skip
REGISTERS = ("encyclopedia", "news", "forum", "fiction", "chat", "code")
SIZE = 128
"""Texts to forget, to retain and unseen: those of the registers are 22 each."""
WAYS = {"default": [], "ga": ["--objective", "ga", "--steps", "12"], "npo": ["--objective", "npo", "--retain", "loss"],
        "simnpo": ["--objective", "simnpo", "--retain", "loss"]}  # fmt: skip
MEASURES = "standard,gradient_norm"
MOVED = "quick,verbatim_leak,zlib,min_k,min_k_plus_plus,quantised"
RELEARNED = {"class_path": "relearned", "init_args": {"steps": 10, "readings": [10]}}
"""What is done to the unlearned models and to the retrained one."""


def content(with_forget: bool) -> dict[str, Any]:
    """Model, data and Trainer."""
    corpora = [{"name": name, "path": f"builtin:world/{name}", "num_examples": 100} for name in REGISTERS]
    if with_forget:
        corpora.append({"name": FORGET, "path": "builtin:planted/in", "num_examples": SIZE, "copies": "repeats",
                        "group": "repeats"})  # fmt: skip
    twins = {"name": "unseen", "path": "builtin:planted/in_twins", "num_examples": SIZE, "twins_of": FORGET}
    new = {"name": "new_documents", "path": "builtin:planted/in_twins", "num_examples": SIZE, "sample_seed": 1}
    data = {"max_length": 97, "corpus_eval_examples": SIZE, "corpora": corpora, "test_sets": [new]}
    data |= {"holdout": [twins]} if with_forget else {}
    return {"model": {"tokenizer": "byte", "config": MODEL}, "data": data, "trainer": {"accelerator": "cpu"}}


def train(folder: Path, with_forget: bool, seed: int, steps: int) -> Path:
    """Pretrain a model into a folder of its own."""
    if (folder / "model").is_dir():
        return folder / "model"
    config = content(with_forget)
    adam = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 8e-3, "betas": [0.9, 0.99], "weight_decay": 0.0}}
    cycle = {"max_lr": 8e-3, "total_steps": -1, "pct_start": 0.05, "cycle_momentum": False}
    schedule = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": cycle}
    config["model"] |= {"optimizer": adam, "lr_scheduler": schedule, "init_seed": seed}
    config["data"] |= {"batch_size": 16}
    config["trainer"] |= {"gradient_clip_val": 1.0}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    run("pretrain", "--config", path, "--output", folder, "--steps", steps, "--seed", seed)
    return folder / "model"


def main() -> None:
    """Train, unlearn, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", type=int, default=10, help="with the texts, and as many without")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--measures", default=MEASURES)
    parser.add_argument("--report", action="store_true", help="only the table")
    asked = parser.parse_args()
    folder: Path = asked.folder
    if not asked.report:
        judge(folder, asked.models, asked.steps, asked.measures)
    print(report(folder, FORGET))


def judge(folder: Path, models: int, steps: int, measures: str) -> None:
    """Make all models and judge them."""
    original = train(folder, True, 0, steps)
    places = {folder / f"retrained-{FORGET}" / "seed-0": (False, 0)}
    for seed in range(1, models):
        places |= {folder / f"unlearned-{FORGET}-{name}-{seed}": (name == "with", seed) for name in ("with", "without")}
    for place, (with_forget, seed) in places.items():
        if not place.is_dir():
            made = train(
                folder / "trained" / f"{'with' if with_forget else 'without'}-{seed}", with_forget, seed, steps
            )
            shutil.copytree(made, place)
    config = folder / "judge.yaml"
    config.write_text(yaml.safe_dump({key: content(True)[key] for key in ("data", "trainer")}))
    given = ("--config", config, "--output", folder, "--forget", FORGET)
    for way, options in WAYS.items():
        if not (folder / f"unlearned-{FORGET}-{way}").is_dir():
            run("unlearn", *given, "--name", way, *options)
    assert original.is_dir()
    aside = folder / ROBUSTNESS
    if not aside.is_file():
        ways = [f"unlearned-{FORGET}-{way}" for way in WAYS]
        asked = json.dumps([*MOVED.split(","), RELEARNED])
        run("judge", *given, "--models", json.dumps(ways), "--measures", asked, "--level", "twins")
        shutil.copy(folder / "examination_summary.parquet", aside)
    run("judge", *given, "--measures", measures, "--level", "twins")


if __name__ == "__main__":
    main()
