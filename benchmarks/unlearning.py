"""Every unlearning objective against retraining without the forget set, on models of several seeds.

    python benchmarks/unlearning.py --folder runs/unlearning --seeds 3,4,5 --forget forum
    python benchmarks/unlearning.py --folder runs/unlearning --seeds 3 --objectives default,npo
    python benchmarks/unlearning.py --folder runs/unlearning --report      the table of what is there

A seed is a model of its own, as in ``attribution.py``, with two retrained models of its own; the table is a mean over
seeds. ``default`` is ``untrac unlearn --forget NAME`` with nothing else. Every other objective runs with the
retain term of its row, one pass, and each of ``--factors`` times the default learning rate; the table shows the
factor whose excess on the forget set and its test set is smallest in absolute value (the others stand in
``sweep.csv``), which favours these objectives: the default is never chosen by the truth.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from attribution import LEARNING_RATE, STEPS, WORLD, data_config, model_config, training_config
from real_text import CORPORA

from lightning_untrac.cli import main as untrac

RATE = 1e-3  # of models 64 wide
OBJECTIVES = {
    "default": "", "no_healing": "--heal_steps 0", "ga": "--objective ga", "ga_loss": "--objective ga --retain loss",
    "ga_kl": "--objective ga --retain kl", "npo_loss": "--objective npo --retain loss",
    "npo_kl": "--objective npo --retain kl", "simnpo": "--objective simnpo --retain loss",
    "wga": "--objective wga --retain loss", "satimp": "--objective satimp --retain loss",
    "ceu": "--objective ceu --retain loss", "undial": "--objective undial --retain loss",
    "me": "--objective me --retain loss", "rmu": "--objective rmu --retain hidden_states",
    "descent_on_the_rest": "--objective ga --retain loss --retain_weight 1e6",
}  # fmt: skip
TEST_SET = {
    "forum": "toxicity", "fiction": "bias", "chat": "untruthfulness", "docstrings": "new_docstrings",
    "headers": "new_headers", "readmes": "new_readmes",
}  # fmt: skip


def run(*arguments: Any) -> None:
    """Run a command here; what it printed is shown if it fails."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = untrac([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
    print(" ".join(map(str, arguments)), "" if not code else f"\n{text.getvalue()}", flush=True)


def one_model(
    output: Path, setting: str, model: str, seed: int, forget: str, names: list[str], factors: list[float]
) -> None:
    """Train a model, retrain it twice without the forget set, unlearn it in every way, judge."""
    data = data_config(setting, output.parent / setting)
    training = training_config(data, LEARNING_RATE, {"accelerator": "cpu"})
    training["model"] |= {"config": model_config(model), "tokenizer": "byte", "init_seed": seed}
    output.parent.mkdir(parents=True, exist_ok=True)
    train, plain = (output.parent / f"{output.name}.{what}.yaml" for what in ("training", "data"))
    train.write_text(yaml.safe_dump(training))
    plain.write_text(yaml.safe_dump({"data": data, "trainer": {"accelerator": "cpu"}}))
    run("pretrain", "--config", train, "--output", output, "--steps", STEPS, "--seed", seed)
    run("retrain", "--forget", forget, "--output", output, "--seeds", f"[{100 + 2 * seed},{101 + 2 * seed}]")
    for name in names:
        options = OBJECTIVES[name].split()
        ours = "--objective" not in options
        for factor in [1.0] if ours else factors:
            label = name if ours else f"{name}-{factor:g}"
            rate = [] if ours else ["--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", RATE * factor]
            run("unlearn", "--config", plain, "--output", output, "--forget", forget, "--name", label, *options, *rate)
    run("judge", "--config", plain, "--forget", forget, "--output", output)


def table_of(folder: Path, forget: str) -> pd.DataFrame:
    """Excess and losses of every model that is there: one row a seed and way."""
    rows = []
    for output in sorted(path.parent for path in folder.glob("*/judgements.parquet")):
        judged = pd.read_parquet(output / "judgements.parquet").query("forget_set == @forget")
        losses = pd.read_parquet(output / "summary.parquet").query("measure == 'loss' and statistic == 'mean'")
        truth = losses[(losses.method == "retrain") & (losses.forget_set == forget)].groupby("dataset").value.mean()
        for model, mine in judged[judged.role == "unlearned"].groupby("model"):
            label = Path(model).name.removeprefix(f"unlearned-{forget}-")
            excess = mine[mine.statistic == "excess"].pivot_table(index="dataset", columns="measure", values="value")
            gap, divergence = excess["loss_gap"], excess["kl_divergence"]
            last = losses[(losses.model == model) & losses.step.notna()]
            last = last[last.step == last.step.max()].set_index("dataset").value
            rest = [name for name in truth.index if name in {*WORLD, *CORPORA} - {forget}]
            others = [name for name in truth.index if name not in {*WORLD, *CORPORA, TEST_SET[forget]}]
            rows.append({
                "seed": output.name, "way": label.rpartition("-")[0] or label, "label": label,
                "excess_forget": gap.get(forget), "excess_test_set": gap.get(TEST_SET[forget]),
                "excess_retained": gap.get("(retained)"), "kl_excess_forget": divergence.get(forget),
                "forget": last[forget] - truth[forget], "test_set": last[TEST_SET[forget]] - truth[TEST_SET[forget]],
                "retained_ratio": (last[rest] / truth[rest]).mean(),
                "neutral_ratio": (last[others] / truth[others]).mean(),
            })  # fmt: skip
    return pd.DataFrame(rows)


def report(folder: Path, forget: str) -> None:
    """Print the table, and write every row of the sweep."""
    found = table_of(folder, forget)
    found.to_csv(folder / f"sweep-{forget}.csv", index=False)
    numbers = found.columns[3:]
    means = found.groupby(["way", "label"])[list(numbers)].mean().reset_index()
    means["apart"] = means.excess_forget.abs() + means.excess_test_set.abs()
    best = means.sort_values("apart").groupby("way", sort=False).head(1)
    print(best.drop(columns=["apart"]).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--setting", default="builtin")
    parser.add_argument("--model", default="llama")
    parser.add_argument("--seeds", default="3,4,5")
    parser.add_argument("--forget", default="forum")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--factors", default="0.1,0.3,1", help="times the default learning rate")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not given.report:
        for seed in map(int, given.seeds.split(",")):
            output = given.folder / f"{given.setting}-{given.model}-seed{seed}"
            factors = [float(factor) for factor in given.factors.split(",")]
            one_model(output, given.setting, given.model, seed, given.forget, given.objectives.split(","), factors)
    report(given.folder, given.forget)


if __name__ == "__main__":
    main()
