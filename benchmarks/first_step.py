"""How long ``untrac trace`` takes until its first step, also beside another checkout of this repository.

    git worktree add ../before <commit>
    python benchmarks/first_step.py --against ../before --rounds 6

Traces the quickstart's model (0.1M parameters, trained for a few steps) by UnTrac, and ends the process where the first
optimizer step would begin. Every round runs each checkout once, in turns; the ratio is the median over rounds. CPU
seconds are the process' own, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[1]
STOP = """
import json, os, resource, time
from lightning.pytorch.callbacks import Callback

class Stop(Callback):
    def on_train_batch_start(self, *_):
        used = resource.getrusage(resource.RUSAGE_SELF)
        told = {"cpu": used.ru_utime + used.ru_stime, "wall": time.time() - float(os.environ["BEGUN"])}
        print(json.dumps(told), flush=True)
        os._exit(0)
"""


def importable(checkout: Path, folder: Path) -> Path:
    """A folder from which a checkout's package is imported as it would be installed, made of links."""
    package = folder / "lightning_untrac"
    package.mkdir(parents=True)
    inside = [part for part in (checkout / "lightning_untrac").iterdir() if part.name != "__pycache__"]
    for part in [*inside, checkout / "callbacks", checkout / "recipes"]:
        if not (package / part.name).exists():
            (package / part.name).symlink_to(part.resolve())
    (folder / "stop.py").write_text(STOP)
    return folder


def untrac(tree: Path, *arguments: Any) -> str:
    """Run a verb of a tree; returns what it printed."""
    environment = dict(os.environ, PYTHONPATH=str(tree), BEGUN=str(time.time()))
    command = [sys.executable, "-m", "lightning_untrac", *map(str, arguments)]
    return subprocess.run(command, check=True, env=environment, cwd=tree, capture_output=True, text=True).stdout


def until_first_step(tree: Path, config: Path, trained: Path) -> dict[str, float]:
    """Seconds by each clock, from a run's folder that holds a trained model alone."""
    with tempfile.TemporaryDirectory() as name:
        output = Path(shutil.copytree(trained, Path(name) / "run"))
        asked = ("--config", config, "--output", output, "--method", "untrac", "--trainer.callbacks", "stop.Stop")
        lines = untrac(tree, "trace", *asked).splitlines()
    found: dict[str, float] = next(json.loads(line) for line in lines if line.startswith('{"cpu"'))
    return found


def main() -> None:
    """Train, measure in turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    recipe = yaml.safe_load((HERE / "recipes" / "quickstart.yaml").read_text())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        trees = {"this": importable(HERE, work / "this")}
        if asked.against is not None:
            trees["other"] = importable(asked.against, work / "other")
        config = work / "config.yaml"
        shared = {part: recipe[part] for part in ("model", "data", "trainer")}
        shared["data"]["cache_folder"] = str(work / "cache")
        config.write_text(yaml.safe_dump(shared))
        untrac(trees["this"], "pretrain", "--config", config, "--output", work / "run", "--trainer.max_steps", 20)
        found: dict[str, list[dict[str, float]]] = {which: [] for which in trees}
        for tree in trees.values():
            until_first_step(tree, config, work / "run")  # the first one compiles and fills the disk's cache
        for round_ in range(asked.rounds):
            for which in list(trees)[:: 1 if round_ % 2 else -1]:
                found[which].append(until_first_step(trees[which], config, work / "run"))
    for clock in ("cpu", "wall"):
        medians = {which: statistics.median(one[clock] for one in times) for which, times in found.items()}
        line = f"{clock}: " + ", ".join(f"{which} {seconds:.2f} s" for which, seconds in medians.items())
        if asked.against is not None:
            ratios = [mine[clock] / other[clock] for mine, other in zip(found["this"], found["other"], strict=True)]
            line += f", ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{line}; {asked.rounds} rounds")


if __name__ == "__main__":
    main()
