"""What ``strength.py`` found: fixed numbers of steps, and read-outs at a given strength, against retraining."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attribution_report import mean_over_columns
from scipy.stats import pearsonr

TARGETS = {"RecordOwnRise": (0.005, 0.01, 0.02, 0.05, 0.1), "RecordDivergence": (0.001, 0.003, 0.01, 0.03)}
"""Nats per token."""

LEAST_STEPS = 64
CASE = re.compile(r"(?P<kind>(?P<setting>.+?)-(?P<model>\w+)-x[\d.]+)-seed\d+")


class Trajectory:
    """The influences of one case's episodes at every reading, and how far each had come.

    Args:
        folder: of the trace.
        record: the strengths.
        corpora: names, in the order of the truth.
        test_sets: the same.
    """

    def __init__(self, folder: Path, record: Path, corpora: list[str], test_sets: list[str]) -> None:
        from lightning_untrac.tables import InfluenceStore

        self.corpora, self.test_sets = corpora, test_sets
        self.values: dict[str, dict[int, np.ndarray]] = {name: {} for name in corpora}
        self.collapsed: set[str] = set()
        for row in InfluenceStore(folder).rows():
            line = self.values[row.corpus].setdefault(row.step, np.full(len(test_sets), np.nan))
            line[test_sets.index(row.test_set)] = row.influence
            if row.status != "ok":
                self.collapsed.add(row.corpus)
                line[:] = np.nan
        self.strengths: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        for text in record.read_text().splitlines():
            line = json.loads(text)
            self.strengths[line["measure"]][line["corpus"]][line["step"]] = line["strength"]

    def at_step(self, step: int) -> np.ndarray:
        """``[corpora, test sets]`` after so many steps; NaN where an episode had collapsed."""
        missing = np.full(len(self.test_sets), np.nan)
        return np.stack([self.values[name].get(step, missing) for name in self.corpora])

    def at_strength(self, measure: str, target: float, most: float) -> np.ndarray:
        """The same where a strength was reached, on the line between two readings, or at the last step of ``most``."""
        return np.stack([self._one(name, self.strengths[measure][name], target, most) for name in self.corpora])

    def _one(self, corpus: str, strengths: Mapping[int, float], target: float, most: float) -> np.ndarray:
        before, low = np.zeros(len(self.test_sets)), 0.0
        for step in sorted(self.values[corpus]):
            if step > most:
                break
            now, high = self.values[corpus][step], strengths.get(step, math.nan)
            if high >= target:
                return before + (target - low) / (high - low) * (now - before)
            before, low = now, high
        return before


def quality(ours: np.ndarray, truth: np.ndarray) -> float:
    """Mean Pearson over test sets; 0 for a test set with a cell that is missing."""
    return mean_over_columns(pearsonr, ours, truth)


def report(folder: Path) -> None:
    """Print a table of each kind of case.

    Args:
        folder: of ``strength.py``.
    """
    from lightning_untrac.results import influence_matrix
    from lightning_untrac.tables import InfluenceStore

    found: dict[str, dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    broken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(folder.glob("*-batch*-lr*.jsonl")):
        name, _, rest = record.stem.partition("-batch")
        case, trace = CASE.fullmatch(name), folder / record.stem
        if case is None or not (trace / ".untrac" / "trace-untrac.done.json").exists():
            continue
        size, _, rate = rest.partition("-lr")
        truth = influence_matrix(InfluenceStore(folder / name).table(), "leave_out")
        ran = Trajectory(trace, record, truth.corpora, truth.test_sets)
        kind, label = f"{case['kind']}, lr {rate}", f"batch {size}"
        rows = int(case["setting"].removeprefix("rows")) if case["setting"].startswith("rows") else math.inf
        most = max(rows / int(size), min(rows, LEAST_STEPS))
        steps = sorted({step for values in ran.values.values() for step in values})
        for step in steps:
            found[kind][label, f"{step} steps"].append(quality(ran.at_step(step), truth.values))
        if size == "1":
            whole = max(step for step in steps if step <= rows)
            found[kind]["paper", f"one pass ({whole} steps)"].append(quality(ran.at_step(whole), truth.values))
            broken[kind]["paper"].append(float(np.isnan(ran.at_step(whole)).any(axis=1).mean()))
        for measure, targets in TARGETS.items():
            for target in targets:
                read = ran.at_strength(measure, target, most)
                found[kind][label, f"{measure.removeprefix('Record')} {target:g}"].append(quality(read, truth.values))
    for kind, cells in found.items():
        print(f"\n### {kind}\n")
        fixed = {key: float(np.mean(v)) for key, v in cells.items() if "steps" in key[1] and key[0] != "paper"}
        best = max(fixed, key=lambda key: fixed[key])
        print(f"models: {max(map(len, cells.values()))}; best fixed: {best[0]}, {best[1]}: {fixed[best]:.2f}")
        share = np.mean(broken[kind]["paper"]) if broken[kind]["paper"] else math.nan
        for (label, place), values in cells.items():
            if label == "paper":
                print(f"the paper's, {place}: {np.mean(values):.2f}, collapsed episodes: {share:.0%}")
        for label in sorted({label for label, _ in cells} - {"paper"}):
            print(
                f"{label}: "
                + ", ".join(f"{place} {np.mean(v):.2f}" for (one, place), v in cells.items() if one == label)
            )
