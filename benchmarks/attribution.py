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
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from real_text import CORPORA, write_corpora
from scipy.stats import pearsonr, spearmanr

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

    def run(self, methods: list[str]) -> None:
        """Train, retrain and trace; what is finished is passed over."""
        rate = LEARNING_RATE * self.learning_rate
        data = data_config(self.setting, self.folder / self.setting)
        training = {
            "model": {
                "optimizer": {"class_path": "torch.optim.AdamW",
                              "init_args": {"lr": rate, "betas": [0.9, 0.99], "weight_decay": 0.0}},
                "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.OneCycleLR",
                                 "init_args": {"max_lr": rate, "total_steps": STEPS, "pct_start": 0.05,
                                               "cycle_momentum": False}},
            },
            "data": {**data, "batch_size": BATCH_SIZE},
            "trainer": {"accelerator": "cpu", "gradient_clip_val": 1.0},
        }  # fmt: skip
        scratch = {**training["model"], "config": model_config(self.model), "tokenizer": "byte", "init_seed": self.seed}
        self._verb("pretrain", {**training, "model": scratch}, "--steps", STEPS, "--seed", self.seed)
        seeds = f"[{self.seed}]"
        self._verb("leave-out", training, "--seeds", seeds)
        for method in methods:
            # UnTrac as in the quickstart: batches of 64. Everything else by default.
            batch = ["--data.batch_size", 64, "--steps", 4] if method == "untrac" and "block_size" in data else []
            self._verb("trace", {"data": data, "trainer": {"accelerator": "cpu"}}, "--method", method, "--seeds", seeds,
                       *batch, allowed=True)  # fmt: skip

    def _verb(self, verb: str, config: dict[str, Any], *options: Any, allowed: bool = False) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        path = self.output.with_suffix(f".{verb}.yaml")
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "lightning_untrac", verb, "--config", path, "--output", self.output, *options]
        start = time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        label = f"{self.output.name}: {verb} {' '.join(map(str, options[:2]))}"
        if done.returncode and not allowed:
            raise RuntimeError(f"{label}\n{done.stdout}\n{done.stderr}")
        last = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
        print(f"{label}: {time.perf_counter() - start:.0f} s {last}", flush=True)


@dataclass
class Agreement:
    """How well a method agrees with retraining on one test set of one case."""

    setting: str
    model: str
    learning_rate: float
    seed: int
    method: str
    test_set: str
    pearson: float
    spearman: float
    top_1: bool
    seconds: float
    peak_memory_mb: float


def agreements(case: Case) -> list[Agreement]:
    """Read a case's tables."""
    from lightning_untrac.results import InfluenceStore, influence_matrix, methods_of

    table = InfluenceStore(case.output).table()
    costs = {cost["step"]: cost for cost in json.loads((case.output / "run.json").read_text()).get("costs", [])}
    truth = influence_matrix(table, "leave_out")
    found = []
    for method in methods_of(table):
        if method == "leave_out":
            continue
        step = f"trace-{method}"
        matrix = influence_matrix(table, method, corpora=list(truth.corpora), test_sets=list(truth.test_sets))
        for column, test_set in enumerate(truth.test_sets):
            ours, theirs = matrix.values[:, column], truth.values[:, column]
            varies = np.ptp(ours) > 0 and np.isfinite(ours).all()
            found.append(
                Agreement(
                    case.setting,
                    case.model,
                    case.learning_rate,
                    case.seed,
                    method,
                    test_set,
                    float(pearsonr(ours, theirs)[0]) if varies else 0.0,
                    float(spearmanr(ours, theirs)[0]) if varies else 0.0,
                    bool(ours.argmax() == theirs.argmax()) if varies else False,
                    costs.get(step, {}).get("seconds", float("nan")),
                    costs.get(step, {}).get("peak_memory_mb", float("nan")),
                )
            )
    return found


def ceiling(cases: list[Case]) -> float:
    """Mean Pearson between the truths of different models: what no method that knows one of them could beat by much."""
    from lightning_untrac.results import InfluenceStore, influence_matrix

    truths = [influence_matrix(InfluenceStore(case.output).table(), "leave_out") for case in cases]
    found = [
        pearsonr(one.values[:, column], other.values[:, column])[0]
        for index, one in enumerate(truths)
        for other in truths[:index]
        for column in range(one.values.shape[1])
    ]
    return float(np.mean(found)) if found else float("nan")


def interval(values: np.ndarray, groups: np.ndarray, resamples: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of a mean; seeds are drawn, each with all its test sets."""
    rng = np.random.default_rng(0)
    names = np.unique(groups)
    means = [values[groups == name].mean() for name in names]
    drawn = rng.choice(means, size=(resamples, len(means))).mean(axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def report(found: list[Agreement], folder: Path) -> None:
    """Print a table for each setting and draw quality against cost."""
    (folder / "agreements.json").write_text(json.dumps([asdict(one) for one in found], indent=1))
    kinds = sorted({(one.setting, one.model, one.learning_rate) for one in found})
    for setting, model, rate in kinds:
        of_kind = [one for one in found if (one.setting, one.model, one.learning_rate) == (setting, model, rate)]
        seeds = sorted({one.seed for one in of_kind})
        print(f"\n### {setting}, {model}, learning rate x{rate:g}, {len(seeds)} model(s)\n")
        print("| method | Pearson [95 % CI] | Spearman | top 1 | seconds | peak MiB |\n|---|---|---|---|---|---|")
        lines = []
        for method in sorted({one.method for one in of_kind}):
            mine = [one for one in of_kind if one.method == method]
            pearson = np.array([one.pearson for one in mine])
            low, high = interval(pearson, np.array([one.seed for one in mine]))
            bounds = f" [{low:.2f}, {high:.2f}]" if len(seeds) > 1 else ""
            spearman, top = np.mean([one.spearman for one in mine]), np.mean([one.top_1 for one in mine])
            seconds = np.mean([one.seconds for one in mine])
            memory = np.mean([one.peak_memory_mb for one in mine])
            lines.append(
                (pearson.mean(), f"| {method} | {pearson.mean():.2f}{bounds} | {spearman:.2f} | {top:.2f} | "
                                 f"{seconds:.1f} | {memory:.0f} |")
            )  # fmt: skip
        print("\n".join(line for _, line in sorted(lines, reverse=True)))
    draw(found, kinds, folder / "quality_and_cost.png")


def draw(found: list[Agreement], kinds: list[tuple[str, str, float]], path: Path) -> None:
    """Quality against cost, a panel a setting; the line joins the methods that nothing cheaper beats."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(kinds), figsize=(3.6 * len(kinds) + 2, 4), squeeze=False, sharey=True)
    methods = sorted({one.method for one in found})
    styles = {name: (f"C{index % 10}", "osD^vP*X"[index // 2 % 8]) for index, name in enumerate(methods)}
    for axis, (setting, model, rate) in zip(axes[0], kinds, strict=True):
        points: dict[str, list[tuple[float, float]]] = {}
        for one in found:
            if (one.setting, one.model, one.learning_rate) == (setting, model, rate):
                points.setdefault(one.method, []).append((one.seconds, one.pearson))
        means = sorted((np.mean([s for s, _ in v]), np.mean([p for _, p in v]), name) for name, v in points.items())
        front: list[tuple[float, float]] = []
        for seconds, pearson, name in means:
            front += [(seconds, pearson)] if not front or pearson > front[-1][1] else []
            colour, marker = styles[name]
            axis.plot(seconds, pearson, marker, color=colour, label=name, markersize=7)
        axis.plot(*zip(*front, strict=True), color="0.3", linewidth=1, zorder=0)
        axis.set(xscale="log", xlabel="seconds", title=f"{setting}, {model}" + (f", lr x{rate:g}" if rate != 1 else ""))
        axis.grid(color="0.92")
    axes[0][0].set_ylabel("mean Pearson with retraining")
    handles, labels = axes[0][0].get_legend_handles_labels()
    ordered = sorted(zip(labels, handles, strict=True))
    figure.legend([handle for _, handle in ordered], [label for label, _ in ordered], loc="center right", fontsize=8)
    figure.tight_layout(rect=(0, 0, 1 - 1.6 / (3.6 * len(kinds) + 2), 1))
    figure.savefig(path, dpi=120)
    print(f"\npicture: {path}")


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", default="builtin,two_by_two,real_equal,real_unequal")
    parser.add_argument("--models", default="llama")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--learning-rate", type=float, default=1.0, help="times the usual one")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = []
    cases: list[Case] = []
    for setting in given.settings.split(","):
        for model in given.models.split(","):
            for seed in map(int, given.seeds.split(",")):
                case = Case(setting, model, seed, given.learning_rate, given.folder)
                if not given.report:
                    case.run(given.methods.split(","))
                if (case.output / "influence.parquet").exists():
                    found += agreements(case)
                    cases.append(case)
    if found:
        report(found, given.folder)
        for setting, model in dict.fromkeys((case.setting, case.model) for case in cases):
            alike = [case for case in cases if (case.setting, case.model) == (setting, model)]
            print(f"{setting}, {model}: the truths of {len(alike)} models agree to {ceiling(alike):.2f}")


if __name__ == "__main__":
    main()
