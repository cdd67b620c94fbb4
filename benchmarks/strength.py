"""How far should UnTrac unlearn? Its whole trajectories against retraining, over corpora, models and learning rates.

    python benchmarks/strength.py --folder runs/strength                  everything: hours on one core
    python benchmarks/strength.py --folder runs/strength --settings rows384,real_equal --seeds 0
    python benchmarks/strength.py --folder runs/strength --report         the tables of what is there

Each case is one model with its own retraining. Unlearning goes on far longer than it should, in batches of 1, 16 and 64
and at several learning rates, and is read on the way, with how far the unlearned corpus' own loss has risen and how far
the predictions have moved. So every fixed number of steps and every read-out at a given strength comes from the same
episodes. The same command again goes on where it stopped.

Settings: those of ``attribution.py``, and ``rowsN``: four corpora of N rows of 64 characters of real text, not packed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import yaml
from attribution import LEARNING_RATE, STEPS, data_config, model_config, training_config
from lightning_untrac.callbacks import KLRadius, OwnRise
from real_text import CORPORA, HELD_OUT, NEW_KINDS, documents
from strength_report import report
from typing_extensions import override

from lightning_untrac.cli import main as untrac

ROW_KINDS = ("source", "docstrings", "licences", "headers")
ROW_CHARACTERS, ROW_TESTS = 64, 64
LENGTHS = {1: 512, 16: 128, 64: 48}
"""Batch size to the number of steps that are gone through."""


class _Recorder:
    """Note a strength at every reading, and end nothing."""

    file: str

    @override
    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        episode = trainer.datamodule.current_episode
        step = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        line = {"corpus": episode.dataset, "step": step, "strength": self.strength(trainer, pl_module)}  # type: ignore
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps({"measure": type(self).__name__, **line}) + "\n")

    @override
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pass


class RecordOwnRise(_Recorder, OwnRise):
    """How far the unlearned corpus' own loss has risen."""

    def __init__(self, file: str) -> None:
        super().__init__(1e9)
        self.file = file


class RecordDivergence(_Recorder, KLRadius):
    """The root of how far the predictions on all corpora have moved."""

    def __init__(self, file: str) -> None:
        super().__init__(1e9)
        self.file = file


def rows_config(number: int, folder: Path) -> dict[str, Any]:
    """Four corpora of short rows, and rows of three of them and of two other kinds that are in none."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, str]]] = {"corpora": [], "test_sets": []}

    def write(name: str, rows: list[str], role: str) -> None:
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
        found[role].append({"name": name, "path": str(path)})

    for kind in (*ROW_KINDS, *NEW_KINDS):
        texts = "\n".join(documents(kind))
        rows = [texts[i : i + ROW_CHARACTERS] for i in range(0, len(texts), ROW_CHARACTERS)]
        rows = [row for row in dict.fromkeys(rows) if len(row) == ROW_CHARACTERS]
        spread = rows[:: max(1, len(rows) // (number + ROW_TESTS))]
        if kind in (*HELD_OUT, *NEW_KINDS):
            write(f"new_{kind}", spread[:ROW_TESTS], "test_sets")
        if kind in CORPORA:
            write(kind, spread[ROW_TESTS:][:number], "corpora")
    return {"max_length": 128, **found}


def settings_of(setting: str, folder: Path) -> dict[str, Any]:
    """Corpora and test sets of a setting."""
    if setting.startswith("rows"):
        return rows_config(int(setting.removeprefix("rows")), folder / setting)
    return data_config(setting, folder / setting)


def verb(name: str, config: dict[str, Any], output: Path, *options: Any) -> None:
    """Run one verb in this process."""
    output.parent.mkdir(parents=True, exist_ok=True)
    path = output.parent / f"{output.name}.{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = untrac([name, "--config", str(path), "--output", str(output), *map(str, options)])
    if code:
        raise RuntimeError(f"{name} {output}\n{said.getvalue()}")


def run_case(
    setting: str, model: str, times_rate: float, seed: int, rates: list[float], sizes: list[int], folder: Path
) -> None:
    """Train, retrain and unlearn; what is finished is passed over."""
    output = folder / f"{setting}-{model}-x{times_rate:g}-seed{seed}"
    data, rate, start = settings_of(setting, folder), LEARNING_RATE * times_rate, time.perf_counter()
    trainer = {"accelerator": "cpu", "enable_progress_bar": False}
    training = training_config(data, rate, trainer)
    scratch = {**training["model"], "config": model_config(model), "tokenizer": "byte", "init_seed": seed}
    verb("pretrain", {**training, "model": scratch}, output, "--steps", STEPS, "--seed", seed)
    verb("leave-out", training, output, "--seeds", f"[{seed}]")
    print(f"{output.name}: trained and retrained, {time.perf_counter() - start:.0f} s", flush=True)
    for size in sizes:
        steps = LENGTHS[size]
        for unlearning_rate in rates:
            place = folder / f"{output.name}-batch{size}-lr{unlearning_rate:g}"
            if (place / ".untrac" / "trace-untrac.done.json").exists():
                continue
            record = folder / f"{place.name}.jsonl"
            record.unlink(missing_ok=True)
            callbacks = [
                {"class_path": f"strength.{name}", "init_args": {"file": str(record)}}
                for name in ("RecordOwnRise", "RecordDivergence")
            ]
            readings = sorted({s for p in range(10) for s in (2**p, 3 * 2**p) if s <= steps})
            config = {
                "model": {
                    "name_or_path": str(output / "model"),
                    "optimizer": {
                        "class_path": "torch.optim.Adam",
                        "init_args": {"lr": unlearning_rate, "fused": True},
                    },
                },
                "data": {**data, "batch_size": size},
                "trainer": {**trainer, "callbacks": callbacks},
            }
            flags = ["--method", "untrac", "--seeds", f"[{seed}]", "--steps", steps, "--readings", json.dumps(readings)]
            verb("trace", config, place, *flags, "--overwrite")
            print(f"{place.name}: {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument(
        "--settings", default="rows32,rows128,rows384,rows1000,rows4000,builtin,real_equal,real_unequal"
    )
    parser.add_argument("--models", default="llama")
    parser.add_argument("--learning-rate", type=float, default=1.0, help="of pretraining: times the usual one")
    parser.add_argument("--rates", default="5e-5", help="of unlearning, separated by commas")
    parser.add_argument("--batches", default="1,16,64")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.modules["strength"] = sys.modules["__main__"]  # so that the recorders have a class path
    if not given.report:
        for seed in map(int, given.seeds.split(",")):
            for setting in given.settings.split(","):
                for model in given.models.split(","):
                    rates = [float(rate) for rate in given.rates.split(",")]
                    sizes = [int(size) for size in given.batches.split(",")]
                    run_case(setting, model, given.learning_rate, seed, rates, sizes, given.folder)
    report(given.folder)


if __name__ == "__main__":
    main()
