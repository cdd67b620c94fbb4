"""Five ways of forgetting planted sequences at equal utility, over several trainings.

    for n in 0 1 2; do untrac run selective_unlearning --training_seed $n --output runs/selective-$n; done
    python benchmarks/selective_report.py runs/selective-0 runs/selective-1 runs/selective-2

Counts stand one after the other, a training each; the rest are means over trainings and half of their 95 % intervals
(Student's t). Above and below: outside of the unseen twins' mean and two standard deviations under the retrained
models, by memorisation accuracy (``untrac judge --level twins``). Survivors and over-forgotten: ``--level sequence``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

FORGET, TWINS, UNSEEN = "planted_in", "in_twins", "new_documents"


def one_training(folder: Path) -> pd.DataFrame:
    """A row a model: the original, the unlearned ones, and a mean over the retrained ones."""
    read = pd.read_parquet(folder / "memorisation.parquet").query("forget_set == @FORGET")
    values = read.pivot_table(
        index=["role", "model", "dataset", "example"], columns="measure", values="value"
    ).reset_index()
    twins = values.query("role == 'retrained' and dataset == @TWINS").memorisation_accuracy
    low, high = twins.mean() - 2 * twins.std(), twins.mean() + 2 * twins.std()
    outliers = pd.read_parquet(folder / "outliers.parquet").query("forget_set == @FORGET")
    excess = pd.read_parquet(folder / "judgements.parquet").query("statistic == 'excess' and measure == 'loss_gap'")
    losses = pd.read_parquet(folder / "summary.parquet").query("measure == 'loss' and statistic == 'mean'")
    losses = losses[losses.dataset == UNSEEN].sort_values("step")
    truth = losses[(losses.method == "retrain") & (losses.forget_set == FORGET)].value.mean()
    rows = []
    for (role, model), mine in values[values.dataset == FORGET].groupby(["role", "model"]):
        sides = outliers[outliers.model == model].side.value_counts()
        ends = losses[(losses.model == model) & (losses.forget_set.isna() | (losses.forget_set == FORGET))]
        distance = excess[excess.model == model].set_index("dataset").value
        rows.append({
            "way": Path(model).name.removeprefix(f"unlearned-{FORGET}-") if role == "unlearned" else role,
            "steps": ends.step.max(), "above": int((mine.memorisation_accuracy > high).sum()),
            "below": int((mine.memorisation_accuracy < low).sum()), "survivors": sides.get("survivor", 0),
            "over_forgotten": sides.get("over-forgotten", 0), "genex": mine.genex_per_token.mean(),
            "genex_size": mine.genex_per_token.abs().mean(), "excess": distance.get(FORGET),
            "excess_retained": distance.get("(retained)"), "unseen_ratio": ends.value.iloc[-1] / truth,
        })  # fmt: skip
    return pd.DataFrame(rows).groupby("way", sort=False).mean(numeric_only=True).reset_index()


def half_width(values: pd.Series[float]) -> float:
    """Half of a mean's 95 % interval (Student's t); NaN of a single value."""
    return float(t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))) if len(values) > 1 else np.nan


def shown(values: pd.Series[float], count: bool) -> str:
    """Numbers of several trainings in a cell."""
    found = values.dropna()
    if count or len(found) < 2:
        return "; ".join(f"{value:.2g}" for value in found)
    return f"{found.mean():.3f} ± {half_width(found):.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="one training each")
    folders = parser.parse_args().folders
    table = pd.concat([one_training(folder).assign(training=folder.name) for folder in folders])
    counts = ("steps", "above", "below", "survivors", "over_forgotten")
    cells = table.drop(columns="training").groupby("way", sort=False)
    print(cells.agg(lambda column: shown(column, column.name in counts)).to_string())


if __name__ == "__main__":
    main()
