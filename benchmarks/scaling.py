"""How the time of a trace grows with corpora, test sets, examples and the model, and what an episode costs by itself.

    python benchmarks/scaling.py [--quick] [--plot scaling.png]

Everything goes through ``untrac trace``, in one process. One axis at a time; a point is the fastest of ``--repeats``
runs, because what else the machine does only adds. Printed per axis: the points, a straight line through them with its
R^2, and the ratio of the last slope to the first (1 where growth is linear).

The fixed cost of an episode (putting the weights back, loaders, setting a reading up) is what an episode of one step
takes, as a slope over the number of corpora, less one step; its share of an episode of 50 steps of a model of 10
million parameters should be below 5 %. A reading of one short example is counted as part of it.

On a shared machine ``--clock cpu`` with ``OMP_NUM_THREADS=1`` counts the process' own time and not what it waited for.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from overhead import make_model

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
SMALL, LARGE = (64, 2), (384, 4)
"""Width and layers; the large one has 9.7 million parameters."""


class Run(NamedTuple):
    """One trace.

    Attributes:
        corpora: how many.
        test_sets: how many.
        examples: of each corpus.
        test_examples: of each test set.
        steps: of an episode; 0 for one pass.
        shape: of the model.
        batch_size: of a step.
    """

    corpora: int = 2
    test_sets: int = 1
    examples: int = 64
    test_examples: int = 64
    steps: int = 8
    shape: tuple[int, int] = SMALL
    batch_size: int = 8


class Bench:
    """Runs traces in a folder of its own.

    Args:
        folder: for the data, the models and the results.
        repeats: how often each run is timed.
        clock: what tells the time, in seconds.
    """

    def __init__(self, folder: Path, repeats: int, clock: Callable[[], float]) -> None:
        self.folder, self.repeats, self.clock = folder, repeats, clock
        self.models: dict[tuple[int, int], str] = {}

    def dataset(self, kind: str, index: int, size: int) -> dict[str, str]:
        """Write examples of about 100 bytes, once, and return the dataset's entry."""
        path = self.folder / f"{kind}-{index}-{size}.jsonl"
        if not path.exists():
            words = random.Random(f"{kind}{index}")
            rows = (" ".join(words.choices(("rain", "harbour", "seven", "blue", "walks"), k=18)) for _ in range(size))
            path.write_text("".join(json.dumps({"text": row[:100]}) + "\n" for row in rows))
        return {"name": f"{kind}-{index}", "path": str(path)}

    def once(self, run: Run) -> float:
        """Seconds of a trace."""
        from lightning_untrac.cli import main

        if run.shape not in self.models:
            with contextlib.redirect_stderr(io.StringIO()):
                self.models[run.shape] = make_model(self.folder / f"model-{run.shape[0]}-{run.shape[1]}", *run.shape)
        config = {
            "model": {"name_or_path": self.models[run.shape]},
            "data": {
                "batch_size": run.batch_size,
                "cache_folder": str(self.folder / "cache"),
                "corpora": [self.dataset("corpus", i, run.examples) for i in range(run.corpora)],
                "test_sets": [self.dataset("test", i, run.test_examples) for i in range(run.test_sets)],
            },
            "trainer": {"accelerator": "cpu"},
        }
        path = self.folder / "trace.yaml"
        path.write_text(json.dumps(config))
        arguments = ["trace", "--config", str(path), "--output", tempfile.mkdtemp(dir=self.folder)]
        arguments += ["--readings=1", "--collapse_cap=.inf", f"--steps={run.steps}" if run.steps else "--passes=1"]
        start = self.clock()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if main(arguments) != 0:
                raise RuntimeError("untrac trace failed")
        return self.clock() - start

    def seconds(self, runs: list[Run]) -> list[float]:
        """The fastest of the repeats of each run; the runs alternate, so that a busy minute meets all of them."""
        for run in runs:
            self.once(run._replace(steps=1))  # fill the caches of token ids and of lazy imports
        found = [[self.once(run) for run in runs] for _ in range(self.repeats)]
        return [min(column) for column in zip(*found, strict=True)]


def parameters(shape: tuple[int, int]) -> float:
    """Millions of parameters of ``overhead.make_model``."""
    hidden, layers = shape
    return (2 * 384 * hidden + layers * (16 * hidden**2 + 2 * hidden) + hidden) / 1e6


def straight_line(label: str, x: list[float], y: list[float]) -> None:
    """Print the points, the fit and the slopes."""
    slope, intercept = np.polyfit(x, y, 1)
    residual, total = np.sum((np.array(y) - slope * np.array(x) - intercept) ** 2), np.sum((y - np.mean(y)) ** 2)
    steps = np.diff(y) / np.diff(x)
    points = ", ".join(f"{a:g}: {b:.2f} s" for a, b in zip(x, y, strict=True))
    print(
        f"{label}: {points}\n    {intercept:.2f} s + {slope:.4g} s each, R^2 {1 - residual / total:.4f}, "
        f"last slope / first slope {steps[-1] / steps[0]:.2f}",
        flush=True,
    )


def fixed_cost(bench: Bench, quick: bool) -> None:
    """Print the fixed cost of an episode of the large model."""
    few, many, steps = 1, 3 if quick else 6, 10 if quick else 50
    base = Run(corpora=few, test_examples=1, steps=1, shape=LARGE, batch_size=1)
    low, high, long = bench.seconds([base, base._replace(corpora=many), base._replace(steps=1 + steps)])
    step = (long - low) / steps
    fixed = (high - low) / (many - few) - step
    print(
        f"fixed cost of an episode ({parameters(LARGE):.1f}M parameters, batches of 1): {1e3 * fixed:.0f} ms; a step "
        f"{1e3 * step:.0f} ms; share of an episode of 50 steps {100 * fixed / (fixed + 50 * step):.1f} %"
    )


def main(quick: bool, repeats: int, plot: str | None, clock: str) -> None:
    """Measure all axes."""
    import warnings

    warnings.simplefilter("ignore")
    corpora = [1, 2, 4, 6] if quick else [1, 2, 4, 8, 16]
    test_sets = [1, 2, 4, 8] if quick else [1, 4, 8, 16]
    examples = [64, 256, 512] if quick else [128, 512, 1024, 2048]
    shapes = [(64, 2), (192, 2), (256, 3)] if quick else [(64, 2), (192, 4), (256, 4), (384, 4)]
    axes: dict[str, tuple[list[float], list[Run]]] = {
        "corpora (K)": (list(corpora), [Run(corpora=k) for k in corpora]),
        "test sets (M)": (list(test_sets), [Run(test_sets=m, test_examples=128) for m in test_sets]),
        "examples of each of 2 corpora": (list(examples), [Run(examples=n, steps=0) for n in examples]),
        "million parameters": ([parameters(s) for s in shapes], [Run(shape=s) for s in shapes]),
    }
    found = {}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), repeats, CLOCKS[clock])
        for label, (x, runs) in axes.items():
            found[label] = (x, bench.seconds(runs))
            straight_line(label, *found[label])
        fixed_cost(bench, quick)
    if plot:
        draw(found, plot)


def draw(found: dict[str, tuple[list[float], list[float]]], path: str) -> None:
    """Save a panel an axis."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(3.2 * len(found), 3), layout="constrained")
    for panel, (label, (x, y)) in zip(panels, found.items(), strict=True):
        slope, intercept = np.polyfit(x, y, 1)
        ends = np.array([0, max(x)])
        panel.plot(ends, intercept + slope * ends, color="0.7", linewidth=1)
        panel.plot(x, y, "o", color="tab:blue")
        panel.set(xlabel=label, ylim=(0, 1.1 * max(y)), xlim=(0, None))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds of untrac trace")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller points: about 3 minutes on 2 slow cores"
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--plot", help="also draw the points into this file")
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main(given.quick, given.repeats, given.plot, given.clock)
