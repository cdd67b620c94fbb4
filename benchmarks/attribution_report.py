"""What ``attribution.py`` found: agreement with retraining, cost, the plan held against it; tables and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr


@dataclass
class Agreement:
    """How well a method agrees with retraining on one model.

    Attributes:
        kind: setting, model and learning rate.
        folder: of the model.
        method: its name.
        pearson: mean over test sets, with the retraining of this very model.
        spearman: the same.
        top_1: share of the test sets whose strongest corpus is the same.
        pearson_mean: with the mean of all models' retraining, which is less noisy.
        seconds: without starting up.
        planned: what ``untrac plan`` said, if it was asked.
        peak_memory_mb: of the whole process.
    """

    kind: str
    folder: str
    method: str
    pearson: float
    spearman: float
    top_1: float
    pearson_mean: float
    seconds: float
    planned: float
    peak_memory_mb: float


def mean_over_columns(measure: Any, ours: np.ndarray, theirs: np.ndarray) -> float:
    """A correlation of each test set, averaged; 0 where a method says the same of every corpus."""
    pairs = zip(ours.T, theirs.T, strict=True)
    return float(np.mean([measure(x, y)[0] if np.isfinite(x).all() and np.ptp(x) > 0 else 0.0 for x, y in pairs]))


def agreements(kind: str, folders: Sequence[Path]) -> tuple[list[Agreement], float]:
    """Read the tables of the models of one kind.

    Returns:
        One a model and method, and the mean Pearson between the truths of two models: what no method that knows
        one of them could beat by much.
    """
    from lightning_untrac.results import influence_matrix, methods_of
    from lightning_untrac.tables import InfluenceStore

    tables = {folder: InfluenceStore(folder).table() for folder in folders}
    tables = {folder: table for folder, table in tables.items() if "leave_out" in methods_of(table)}
    if not tables:
        return [], float("nan")
    first = influence_matrix(next(iter(tables.values())), "leave_out")
    order: Any = {"corpora": first.corpora, "test_sets": first.test_sets}
    truths = {folder: influence_matrix(table, "leave_out", **order).values for folder, table in tables.items()}
    mean_truth = np.mean(list(truths.values()), axis=0)
    found = []
    for folder, table in tables.items():
        costs = {cost["step"]: cost for cost in json.loads((folder / "run.json").read_text()).get("costs", [])}
        path = folder.parent / f"{folder.name}.plan.json"
        plan = json.loads(path.read_text()) if path.exists() else {}
        for method in methods_of(table):
            if method == "leave_out":
                continue
            ours, truth = influence_matrix(table, method, **order).values, truths[folder]
            cost = costs.get(f"trace-{method}", {})
            found.append(
                Agreement(
                    kind,
                    folder.name,
                    method,
                    pearson=mean_over_columns(pearsonr, ours, truth),
                    spearman=mean_over_columns(spearmanr, ours, truth),
                    top_1=float(((ours.argmax(axis=0) == truth.argmax(axis=0)) & (np.ptp(ours, axis=0) > 0)).mean()),
                    pearson_mean=mean_over_columns(pearsonr, ours, mean_truth),
                    seconds=cost.get("seconds", float("nan")),
                    planned=plan.get(method, {}).get("seconds", float("nan")),
                    peak_memory_mb=cost.get("peak_memory_mb", float("nan")),
                )
            )
    each = list(truths.values())
    between = [mean_over_columns(pearsonr, one, other) for i, one in enumerate(each) for other in each[:i]]
    return found, float(np.mean(between)) if between else float("nan")


def interval(values: Sequence[float], resamples: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over models."""
    drawn = np.random.default_rng(0).choice(values, size=(resamples, len(values))).mean(axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def report(kinds: Mapping[str, Sequence[Path]], folder: Path) -> None:
    """Print a table for each kind of model and setting, and draw quality against cost.

    Args:
        kinds: the output folders of each kind, one a seed.
        folder: where ``agreements.json`` and the picture go.
    """
    every: list[Agreement] = []
    for kind, folders in kinds.items():
        found, ceiling = agreements(kind, folders)
        every += found
        print(f"\n### {kind}, {len({one.folder for one in found})} model(s)\n")
        print("| method | Pearson [95 % CI] | with mean truth | Spearman | top 1 | seconds | planned/real | peak MiB |")
        print("|---|---|---|---|---|---|---|---|")
        for line in sorted(_lines(found), reverse=True):
            print(line[1])
        print(f"\nThe truths of two models agree to {ceiling:.2f}.")
    (folder / "agreements.json").write_text(json.dumps([asdict(one) for one in every], indent=1))
    draw(every, folder / "quality_and_cost.png")


def _lines(found: Sequence[Agreement]) -> list[tuple[float, str]]:
    lines = []
    for method in {one.method for one in found}:
        mine = [one for one in found if one.method == method]
        pearson = [one.pearson for one in mine]
        low, high = interval(pearson)
        bounds = f" [{low:.2f}, {high:.2f}]" if len(mine) > 1 else ""
        means = {
            name: float(np.nanmean([getattr(one, name) for one in mine]))
            for name in ("pearson_mean", "spearman", "top_1", "seconds", "peak_memory_mb")
        }
        ratios = [one.planned / one.seconds for one in mine if np.isfinite(one.planned)]
        ratio = float(np.mean(ratios)) if ratios else float("nan")
        planned = f"{ratio:.2f}" if np.isfinite(ratio) else ""
        lines.append(
            (
                float(np.mean(pearson)),
                f"| {method} | {np.mean(pearson):.2f}{bounds} | {means['pearson_mean']:.2f} | "
                f"{means['spearman']:.2f} | "
                f"{means['top_1']:.2f} | {means['seconds']:.1f} | {planned} | {means['peak_memory_mb']:.0f} |",
            )
        )
    return lines


def draw(found: Sequence[Agreement], path: Path) -> None:
    """Quality against cost, a panel a kind; the line joins the methods that nothing cheaper beats."""
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(one.kind for one in found))
    figure, axes = plt.subplots(1, len(kinds), figsize=(3.6 * len(kinds) + 2, 4), squeeze=False, sharey=True)
    methods = sorted({one.method for one in found})
    styles = {name: (f"C{index % 10}", "osD^vP*X"[index // 2 % 8]) for index, name in enumerate(methods)}
    for axis, kind in zip(axes[0], kinds, strict=True):
        points: dict[str, list[tuple[float, float]]] = {}
        for one in found:
            if one.kind == kind:
                points.setdefault(one.method, []).append((one.seconds, one.pearson))
        means = sorted((np.mean([s for s, _ in v]), np.mean([p for _, p in v]), name) for name, v in points.items())
        front: list[tuple[float, float]] = []
        for seconds, pearson, name in means:
            front += [(seconds, pearson)] if not front or pearson > front[-1][1] else []
            colour, marker = styles[name]
            axis.plot(seconds, pearson, marker, color=colour, label=name, markersize=7)
        axis.plot(*zip(*front, strict=True), color="0.3", linewidth=1, zorder=0)
        axis.set(xscale="log", xlabel="seconds", title=kind)
        axis.grid(color="0.92")
    axes[0][0].set_ylabel("mean Pearson with retraining")
    labels = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    ordered = sorted(labels)
    figure.legend([labels[name] for name in ordered], ordered, loc="center right", fontsize=8)
    figure.tight_layout(rect=(0, 0, 1 - 1.6 / (3.6 * len(kinds) + 2), 1))
    figure.savefig(path, dpi=120)
    print(f"\npicture: {path}")
