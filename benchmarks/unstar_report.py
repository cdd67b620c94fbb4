"""The tables of ``benchmarks/unstar.py``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student


def values(summary: Path) -> dict[str, float]:
    """``measure/dataset/statistic`` to value of one evaluation."""
    rows = pd.read_parquet(summary)
    names = rows.dataset.str.replace(r"_\d+$", "", regex=True)
    return dict(zip(rows.measure + "/" + names + "/" + rows.statistic, rows.value, strict=True))


def row_of(home: Path, number: int, label: str) -> dict[str, float]:
    """What is known of one model and association."""
    found: dict[str, float] = {}
    for kind in ("greedy", "hard"):
        found |= values(home / "measured" / f"{number}-{label}-{kind}" / "summary.parquet")
    formats = "answered_in_3_formats"
    row = {
        "given": found["answered/given/mean"], "trained wordings": found["answered/forget/mean"],
        "held out": found["answered/paraphrases/mean"],
        "worst wording": found["answered/paraphrases/worst_in_group"],
        "worst of 3 formats": found[f"{formats}/paraphrases/worst_in_group"],
        "leak@4": found["leak_at_4/paraphrases/mean"],
        "leak@4 worst": found["leak_at_4/paraphrases/worst_in_group"],
        "after shots": found["answered_after_shots/paraphrases/mean"],
        "near subject": found["answered/near_subject/mean"], "near object": found["answered/near_object/mean"],
        "far": found["answered/far/mean"],
        "doesn't know": found["says_it_does_not_know/paraphrases/mean"],
        "repetition": found.get("repetition/paraphrases/mean", np.nan),
        "repetition, far": found.get("repetition/far/mean", np.nan),
        "unique 4-grams": found.get("unique_4grams/paraphrases/mean", np.nan),
    }  # fmt: skip
    run_file = json.loads((home / "people" / "run.json").read_text())
    row["seconds"] = run_file.get("training_seconds", {}).get(f"unlearned-forget_{number}-{label}", np.nan)
    steps = pd.read_parquet(home / "people" / "summary.parquet", filters=[("forget_set", "==", f"forget_{number}")])
    mine = steps[
        steps.model.str.endswith(f"unlearned-forget_{number}-{label}") & ~steps.method.str.startswith("relearn")
    ]
    row["steps"] = float(mine.step.max()) if len(mine) else np.nan
    name = f"retrained-forget_{number}" if label == "without" else f"unlearned-forget_{number}-{label}"
    row["half back"] = half_back(steps[steps.method.str.startswith(f"relearn:{name}")])
    return row


def half_back(rows: pd.DataFrame) -> float:
    """The step of fine-tuning after which half of the held-out wordings are answered; as a straight line between."""
    mine = rows[(rows.measure == "answered") & (rows.statistic == "mean") & rows.dataset.str.startswith("paraphrases")]
    mine = mine.sort_values("step")
    if not len(mine):
        return np.nan
    before = (0.0, 0.0)
    for step, value in zip(mine.step, mine.value, strict=True):
        if value >= 0.5:
            share = 0.0 if value == before[1] else (0.5 - before[1]) / (value - before[1])
            return float(before[0] + max(0.0, share) * (step - before[0]))
        before = (step, value)
    return np.inf


def report(folder: Path) -> None:
    """Print a line a way and rate, and the table with the best rate of each rival."""
    rows = []
    for first in sorted(folder.glob("seed*/measured/*-greedy/summary.parquet")):
        number, _, label = first.parent.name.removesuffix("-greedy").partition("-")
        home = first.parents[2]
        if (home / "measured" / f"{number}-{label}-hard" / "summary.parquet").exists():
            rows.append({"seed": home.name, "association": int(number), "label": label,
                         **row_of(home, int(number), label)})  # fmt: skip
    found = pd.DataFrame(rows)
    before = found[found.label == "before"].set_index(["seed", "association"])
    for name in ("near subject", "near object", "far"):
        start = [before[name].get((one.seed, one.association), np.nan) for one in found.itertuples()]
        found[name] = found[name].where(found.label == "before", found[name] / np.array(start))
    found.to_csv(folder / "unstar.csv", index=False)
    found["forgot"] = (found["given"] <= 0.05).astype(float)
    found["near"] = (found["near subject"] + found["near object"]) / 2
    measured = [name for name in found.columns if name not in ("seed", "association", "label", "near")]
    means = found.groupby("label")[[*measured, "near"]].mean()
    counts = found.groupby("label").size()
    print(means.assign(runs=counts).round(3).to_string())
    ways: dict[str, str] = {}
    for label in means.sort_values(["forgot", "near"], ascending=False).index:
        ways.setdefault(label.partition("-")[0], label)
    labels = list(ways.values())
    print("\n| |", " | ".join(f"{one} ({counts[one]})" for one in labels), "|")
    print("|---" * (len(labels) + 1) + "|")
    for name in measured:
        print(f"| {name} |", " | ".join(interval(found[found.label == one][name]) for one in labels), "|")


def interval(numbers: pd.Series) -> str:
    """Mean and half of its 95 % interval by Student's t; what never came (infinite) is counted."""
    finite = numbers[np.isfinite(numbers)]
    never = f", {int(np.isinf(numbers).sum())} never" if np.isinf(numbers).any() else ""
    if not len(finite):
        return f"-{never}"
    half = student.ppf(0.975, len(finite) - 1) * finite.std() / np.sqrt(len(finite)) if len(finite) > 1 else np.nan
    return (
        f"{finite.mean():.2f} ± {half:.2f}{never}" if finite.mean() < 20 else f"{finite.mean():.0f} ± {half:.0f}{never}"
    )
