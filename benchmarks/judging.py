"""Which measures to believe: do they tell models that were trained with a set from models that were not?

    python benchmarks/judging.py --folder runs/judging_bench                    everything
    python benchmarks/judging.py --folder runs/judging_bench --models 4 --steps 100
    python benchmarks/judging.py --folder runs/judging_questions --setting questions
    python benchmarks/judging.py --folder runs/judging_bench --report           the table of what is there

So many models of 0.1M parameters are trained with 128 planted texts (each stands 1, 4 or 16 times in training) and so
many without, or with and without 66 questions about six facts; all from first weights and data orders of their own. One
of each is the original and the retrained model of a judgement; the others, and what four objectives make of the
original, are judged by one `untrac judge`. A measure's number of a model is its mean over these texts, an attack's the
AUC against 128 unseen texts of the same kinds.

- faithful: AUC of the numbers of models trained with the texts against those of models trained without (as a 2026 study
  of 20 measures does with 30 against 30), with a bootstrap over models of each side.
- Q and R: how little quantisation to nf4 moves the number of an unlearned model, and how alike relearning moves it and
  the retrained one, by the symmetric forms; means over the unlearned models. HM is the harmonic mean of the two.

The same command again goes on where it stopped; `--report` takes the same `--setting`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import yaml
from in_process import run
from judging_report import ROBUSTNESS, report
from judging_settings import SETTINGS, Setting

WAYS = {"default": [], "ga": ["--objective", "ga", "--steps", "12"], "npo": ["--objective", "npo", "--retain", "loss"],
        "simnpo": ["--objective", "simnpo", "--retain", "loss"]}  # fmt: skip
RELEARNED = {"class_path": "relearned", "init_args": {"steps": 10, "readings": [10]}}
"""What is done to the unlearned models and to the retrained one."""


def train(folder: Path, setting: Setting, with_forget: bool, seed: int, steps: int) -> Path:
    """Pretrain a model into a folder of its own."""
    if (folder / "model").is_dir():
        return folder / "model"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(setting.training(with_forget, seed)))
    run("pretrain", "--config", path, "--output", folder, "--steps", steps, "--seed", seed)
    return folder / "model"


def main() -> None:
    """Train, unlearn, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="planted", help="what the models are trained on")
    parser.add_argument("--models", type=int, default=10, help="with the texts, and as many without")
    parser.add_argument("--steps", type=int, help="of training; by default the setting's")
    parser.add_argument("--measures", help="by default the setting's")
    parser.add_argument("--report", action="store_true", help="only the table")
    asked = parser.parse_args()
    folder, setting = asked.folder, SETTINGS[asked.setting]
    if not asked.report:
        judge(folder, setting, asked.models, asked.steps or setting.steps, asked.measures or setting.measures)
    print(report(folder, setting.forget))


def judge(folder: Path, setting: Setting, models: int, steps: int, measures: str) -> None:
    """Make all models and judge them."""
    forget, original = setting.forget, train(folder, setting, True, 0, steps)
    places = {folder / f"retrained-{forget}" / "seed-0": (False, 0)}
    for seed in range(1, models):
        places |= {folder / f"unlearned-{forget}-{name}-{seed}": (name == "with", seed) for name in ("with", "without")}
    for place, (with_forget, seed) in places.items():
        if not place.is_dir():
            own = folder / "trained" / f"{'with' if with_forget else 'without'}-{seed}"
            made = train(own, setting, with_forget, seed, steps)
            shutil.copytree(made, place)
    config = folder / "judge.yaml"
    config.write_text(yaml.safe_dump({key: setting.content(True)[key] for key in ("data", "trainer")}))
    given = ("--config", config, "--output", folder, "--forget", forget)
    level = ("--level", "twins") if setting.holdout else ()
    for way, options in WAYS.items():
        if not (folder / f"unlearned-{forget}-{way}").is_dir():
            run("unlearn", *given, "--name", way, *options)
    assert original.is_dir()
    aside = folder / ROBUSTNESS
    if not aside.is_file():
        ways = [f"unlearned-{forget}-{way}" for way in WAYS]
        asked = json.dumps([*setting.moved.split(","), RELEARNED])
        run("judge", *given, "--models", json.dumps(ways), "--measures", asked, *level)
        shutil.copy(folder / "examination_summary.parquet", aside)
    run("judge", *given, "--measures", measures, *level)


if __name__ == "__main__":
    main()
