"""The table of ``judging.py``: how well each measure tells models that saw a set from models that did not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_untrac.functional.harmonic_mean import harmonic_mean
from lightning_untrac.tables.files import read_table

RESAMPLES = 2000

ROBUSTNESS = "robustness.parquet"
"""What quantisation and relearning did to unlearned models, kept aside: the judgement of all models writes over it."""

STATISTICS = {"quantisation_robustness": "Q", "relearning_robustness": "R"}


def numbers(folder: Path, forget: str) -> pd.DataFrame:
    """One number a model and measure: ``name``, ``measure``, ``value``."""
    means = read_table(folder / "judged_measures.parquet").to_pandas()
    means = means[(means["forget_set"] == forget) & (means["dataset"] == forget) & (means["statistic"] == "mean")]
    attacks = read_table(folder / "memorisation_summary.parquet").to_pandas()
    attacks = attacks[(attacks["forget_set"] == forget) & (attacks["statistic"] == "auc")]
    attacks = attacks.assign(measure=attacks["measure"].str.replace("attack_", "AUC by "))
    tables = [means, attacks]
    if (path := folder / "examination_summary.parquet").is_file():
        own = read_table(path).to_pandas()
        chosen = (own["forget_set"] == forget) & (own["dataset"] == forget) & (own["statistic"] == "mean")
        tables.append(own[chosen & (own["condition"] == "") & own["at"].isna()])
    every = pd.concat([table[["model", "measure", "value"]] for table in tables])
    return every.assign(name=[Path(model).name for model in every["model"]])


def auc(with_set: Any, without: Any) -> float:
    """Chance that a model that saw the set has the larger number, ties counting half."""
    difference = np.subtract.outer(np.asarray(with_set), np.asarray(without))
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def faithfulness(values: pd.DataFrame, forget: str) -> pd.DataFrame:
    """AUC over models of each measure, with the ends of a bootstrap over the models of each side."""
    chance, rows = np.random.default_rng(0), []
    for measure, mine in values.groupby("measure", sort=False):
        sides = [
            mine[mine["name"].str.fullmatch(rf"unlearned-{re.escape(forget)}-{side}-\d+")]["value"].to_numpy()
            for side in ("with", "without")
        ]
        sides = [side[np.isfinite(side)] for side in sides]
        if min(map(len, sides)) < 2:
            continue
        found = auc(*sides)
        way = 1.0 if found >= 0.5 else -1.0
        drawn = [auc(*(way * chance.choice(side, len(side)) for side in sides)) for _ in range(RESAMPLES)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        spread = float(np.concatenate([side - side.mean() for side in sides]).std())
        gap = abs(sides[0].mean() - sides[1].mean()) / spread if spread else np.nan
        rows.append({"measure": measure, "faithful": max(found, 1 - found), "low": low, "high": high, "gap": gap,
                     "with": sides[0].mean(), "without": sides[1].mean()})  # fmt: skip
    return pd.DataFrame(rows).set_index("measure")


def robustness(folder: Path, forget: str) -> pd.DataFrame:
    """Means of Q and R over unlearned models, by measure; R is of the part of the set that was not trained on."""
    path = folder / ROBUSTNESS
    if not path.is_file():
        return pd.DataFrame()
    rows = read_table(path).to_pandas()
    rows = rows[(rows["forget_set"] == forget) & (rows["role"] == "unlearned") & rows["statistic"].isin(STATISTICS)]
    rows = rows[rows["dataset"].str.startswith(forget) & rows["condition"].isin(["nf4", ""])]
    rows = rows.assign(what=rows["statistic"].map(STATISTICS))
    found = rows.groupby(["measure", "what"])["value"].mean().unstack("what")
    found = found.reindex(columns=list(STATISTICS.values()))
    return found.assign(HM=harmonic_mean(found.to_numpy().T))


def report(folder: Path, forget: str) -> str:
    """The table as text."""
    found = faithfulness(numbers(folder, forget), forget).sort_values(["faithful", "gap"], ascending=False)
    beside = robustness(folder, forget)
    table = found.join(beside, how="left") if len(beside) else found
    return table.to_string(float_format=lambda value: f"{value:.3g}")
