"""``recipes/deepcut.yaml`` over several trainings, each with several retrained models.

    python benchmarks/classifiers.py runs/classifiers --trainings 0,1,2,3,4 --retrained 5
    python benchmarks/classifiers.py runs/classifiers --report           the table of what is there

Each number is the mean over trainings of a model's distance to the mean of its own retrained models, with half of a
95 % interval (Student's t). The last row is the distance of one retrained model to the others of its training, root
mean square: the difference that chance in training leaves. Times are shares of the mean retraining.
"""

from __future__ import annotations

import argparse
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from selective_report import half_width
from unlearning import run

COLUMNS = {
    "F1 forget": ("macro_f1", "forget"), "F1 retained": ("macro_f1", "rest"), "F1 test": ("macro_f1", "test"),
    "membership": ("membership_loss", "forget"), "agreement forget": ("agreement", "forget"),
}  # fmt: skip


def one_training(folder: Path, training: int, retrained: int) -> None:
    """Run the recipe with a seed of its own."""
    recipe = yaml.safe_load((resources.files("lightning_untrac.recipes") / "deepcut.yaml").read_text())
    recipe["output"] = str(folder / f"training-{training}")
    for stage in recipe["stages"]:
        if "retrain" in stage:
            stage["retrain"]["seeds"] = [100 * (training + 1) + number for number in range(retrained)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"training-{training}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    run("run", path, "--training_seed", training)


def table_of(folder: Path) -> pd.DataFrame:
    """A row a training and model: differences to the mean of the retrained models, and the share of their time."""
    rows = []
    for path in sorted(folder.glob("training-*/judged_measures.parquet")):
        read = pd.read_parquet(path).query("statistic == 'mean'")
        took = json.loads((path.parent / "run.json").read_text())["training_seconds"]
        again = np.mean([seconds for name, seconds in took.items() if name.startswith("retrained-forget/")])
        singles = read[(read.role == "retrained") & read.seed.notna()]
        for model, mine in read[(read.role != "retrained") | read.seed.notna()].groupby("model"):
            role, name = mine.role.iloc[0], Path(model).name
            row = {"training": path.parent.name, "role": role, "way": name.removeprefix("unlearned-forget-"),
                   "time": took.get(name, np.nan) / again}  # fmt: skip
            for column, (measure, dataset) in COLUMNS.items():
                others = singles[(singles.measure == measure) & (singles.dataset == dataset) & (singles.model != model)]
                own = mine[(mine.measure == measure) & (mine.dataset == dataset)].value
                row[column] = own.iloc[0] - others.value.mean()
            rows.append(row)
    return pd.DataFrame(rows)


def report(folder: Path) -> None:
    """Print the table."""
    found = table_of(folder)
    chance = found[found.role == "retrained"]
    columns = [*COLUMNS, "time"]
    lines = {}
    for way, mine in found[found.role != "retrained"].groupby("way"):
        cells = {}
        for column in columns:
            values = mine[column].dropna()
            cells[column] = f"{values.mean():+.3f} ± {half_width(values):.3f}" if len(values) else ""
        lines[way] = cells
    lines["between retrained"] = {column: f"{np.sqrt((chance[column] ** 2).mean()):.3f}" for column in COLUMNS}
    print(f"{found.training.nunique()} trainings, {len(chance)} retrained models")
    print(pd.DataFrame(lines).T.fillna("").to_string())


def main() -> None:
    """Train, unlearn, judge; then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainings", default="0,1,2,3,4", help="seeds of the original models")
    parser.add_argument("--retrained", type=int, default=5, help="models retrained for each of them")
    parser.add_argument("--report", action="store_true", help="only the table of what is there")
    given = parser.parse_args()
    for training in [] if given.report else map(int, given.trainings.split(",")):
        one_training(given.folder, training, given.retrained)
    report(given.folder)


if __name__ == "__main__":
    main()
