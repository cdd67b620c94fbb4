"""The tables of ``benchmarks/unstar.py``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

KEPT = ("near subject", "near object", "far")
"""What is asked in held-out wordings before and after."""
ORDER = ("before", "without", "unstar", "ga", "npo", "idkdpo", "altpo", "altpo_given")


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
    row = {
        "given wordings (4)": found["answered/given/mean"], "trained wordings (11)": found["answered/forget/mean"],
        "held-out wordings (5)": found["answered/paraphrases/mean"],
        "worst held-out wording": found["answered/paraphrases/worst_in_group"],
        "worst of wordings and formats": found["answered_in_3_formats/paraphrases/worst_in_group"],
        "leak@4": found["leak_at_4/paraphrases/mean"],
        "leak@4, worst wording": found["leak_at_4/paraphrases/worst_in_group"],
        "after many shots": found["answered_after_shots/paraphrases/mean"],
        **{name: found[f"answered/{name.replace(' ', '_')}/mean"] for name in KEPT},
        "says it does not know": found["says_it_does_not_know/paraphrases/mean"],
        "repetition": found.get("repetition/paraphrases/mean", np.nan),
        "repetition, far": found.get("repetition/far/mean", np.nan),
        "unique 4-grams": found.get("unique_4grams/paraphrases/mean", np.nan),
    }  # fmt: skip
    model, people = f"unlearned-forget_{number}-{label}", home / "people"
    took = json.loads((people / "run.json").read_text(encoding="utf-8")).get("training_seconds", {})
    steps = pd.read_parquet(people / "summary.parquet", filters=[("forget_set", "==", f"forget_{number}")])
    row |= {"steps": steps[steps.model.str.endswith(f"/{model}")].step.max(), "seconds": took.get(model, np.nan)}
    relearned = home / f"relearned-{number}" / "summary.parquet"
    if relearned.exists():
        again, name = pd.read_parquet(relearned), f"retrained-forget_{number}/seed-0" if label == "without" else model
        row["steps until half is back"] = half_back(again[again.method == f"relearn:{name}"])
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
    for name in KEPT:
        start = [before[name].get((one.seed, one.association), np.nan) for one in found.itertuples()]
        found[name] = found[name].where(found.label == "before", found[name] / np.array(start))
    found["near"] = found[["near subject", "near object"]].mean(axis=1)
    found["forgot"] = (found["given wordings (4)"] <= 0.05).astype(float)
    found.to_csv(folder / "unstar.csv", index=False)
    measured = [name for name in found.columns if name not in ("seed", "association", "label", "near")]
    means = found.groupby("label")[[*measured, "near"]].mean()
    means["runs"] = found.groupby("label").size()
    print(means.round(3).T.to_string())
    ways: dict[str, str] = {}
    for label in means.sort_values(["runs", "forgot", "near"], ascending=False).index:
        ways.setdefault(label.partition("-")[0], label)
    labels = [ways[way] for way in ORDER if way in ways] + [ways[way] for way in ways if way not in ORDER]
    print("\n| |", " | ".join(f"{one} ({means.runs[one]:.0f})" for one in labels), "|")
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
    digits = 2 if finite.mean() < 10 else 0
    spread = f" ± {half:.{digits}f}" if half > 0 else ""
    return f"{finite.mean():.{digits}f}{spread}{never}"
