"""Every unlearning objective against retraining without the forget set, on models of several seeds.

    python benchmarks/unlearning.py --folder runs/unlearning --seeds 3,4,5 --forget forum
    python benchmarks/unlearning.py --folder runs/unlearning --seeds 3 --objectives default,npo
    python benchmarks/unlearning.py --folder runs/unlearning --seeds 4,5 --objectives best     factors chosen on seed 3
    python benchmarks/unlearning.py --folder runs/unlearning --report      the table of what is there

A seed is a model of its own, as in ``attribution.py``, with two retrained models of its own; the table is a mean over
seeds. ``default`` is ``untrac unlearn --forget NAME`` with nothing else. Every other objective runs with the
retain term of its row, one pass, and each of ``--factors`` times the default learning rate; the table shows the
factor whose excess on the forget set, its test set and the other corpora is smallest (mean of absolute values; the
others stand in ``sweep.csv``), which favours these objectives: the default is never chosen by the truth. ``..._healed``
is the default with another forget term, at the default's rate.
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
COURSE = "--retain loss --retain_weight 3 --until_rise 0.5 --heal_steps 80"
"""The default's course, for another forget term."""
OBJECTIVES = {
    "default": "", "no_healing": "--heal_steps 0", "ga": "--objective ga", "ga_loss": "--objective ga --retain loss",
    "ga_kl": "--objective ga --retain kl", "clamped": "--objective clamped --retain loss",
    "npo_loss": "--objective npo --retain loss", "npo_kl": "--objective npo --retain kl",
    "simnpo": "--objective simnpo --retain loss", "tnpo": "--objective tnpo --retain loss",
    "wtnpo": "--objective wtnpo --retain loss", "wga": "--objective wga --retain loss",
    "satimp": "--objective satimp --retain loss", "ceu": "--objective ceu --retain loss",
    "undial": "--objective undial --retain loss", "me": "--objective me --retain loss",
    "uniform": "--objective uniform --retain loss", "jensun": "--objective jensun --retain jsd",
    "pdu": "--objective pdu --retain bound", "rmu": "--objective rmu --retain hidden",
    "gru": "--objective ga --retain loss --model.unlearning_objective.rectify GRU",
    "sam": "--objective npo --retain loss --model.unlearning_objective.rectify SAM",
    "task_vector": "--method task_vector", "kfade": "--method kfade",
    "npo_healed": f"--objective npo {COURSE}", "simnpo_healed": f"--objective simnpo {COURSE}",
    "wga_healed": f"--objective wga {COURSE}", "undial_healed": f"--objective undial {COURSE}",
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
    for name, _, chosen in (name.partition(":") for name in names):
        options = OBJECTIVES[name].split()
        sweeps = "--objective" in options and "--heal_steps" not in options
        for factor in [float(chosen)] if chosen else factors if sweeps else [1.0]:
            label = f"{name}-{factor:g}" if sweeps else name
            rate = ["--readings", 1, "--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", RATE * factor]
            rate = rate if sweeps else []
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


def best(found: pd.DataFrame) -> pd.DataFrame:
    """Of each way the means over seeds at the factor of the most seeds; among those, nearest to retraining."""
    by_label = found.groupby(["way", "label"])
    means = by_label[list(found.columns[3:])].mean()
    means["models"] = by_label.seed.nunique()
    means["apart"] = means[["excess_forget", "excess_test_set", "excess_retained"]].abs().mean(axis=1)
    return means.sort_values(["models", "apart"], ascending=[False, True]).groupby("way", sort=False).head(1)


def report(folder: Path, forget: str) -> None:
    """Print the table, and write every row of the sweep."""
    found = table_of(folder, forget)
    found.to_csv(folder / f"sweep-{forget}.csv", index=False)
    print(best(found).to_string(float_format=lambda value: f"{value:.3f}"))


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--setting", default="builtin")
    parser.add_argument("--model", default="llama")
    parser.add_argument("--seeds", default="3,4,5")
    parser.add_argument("--forget", default="forum")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--factors", default="0.03,0.1,0.3", help="times the default learning rate")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    names = given.objectives.split(",")
    if given.objectives == "best":
        names = [
            f"{way}:{label.rpartition('-')[2]}" if label != way else way
            for way, label in best(table_of(given.folder, given.forget)).index
        ]
    if not given.report:
        for seed in map(int, given.seeds.split(",")):
            output = given.folder / f"{given.setting}-{given.model}-seed{seed}"
            factors = [float(factor) for factor in given.factors.split(",")]
            one_model(output, given.setting, given.model, seed, given.forget, names, factors)
    report(given.folder, given.forget)


if __name__ == "__main__":
    main()
