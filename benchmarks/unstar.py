"""UnSTAR beside gradient ascent, NPO, IdkDPO and AltPO: single facts forgotten by models of several seeds.

    python benchmarks/unstar.py --folder runs/unstar_bench                  everything: about an hour (estimated)
    python benchmarks/unstar.py --folder runs/unstar_bench --seeds 0 --ways unstar,npo --associations 1
    python benchmarks/unstar.py --folder runs/unstar_bench --report         the table of what is there

A seed is a model of its own (``untrac run recipes/people.yaml --model.init_seed SEED``) and a second one, trained in
the same way without any of the six associations (``without``). From each model one association at a time is forgotten
in every way, from the same four of its eleven trained wordings, with the same adapters and beside the same retained
questions. A rival ends at the first step after which at most one in twenty of the four is answered, and runs at each of
``--rates``; the table has the rate that keeps the most near facts among those that forgot in the most runs, which
favours the rivals: UnSTAR's rate is the recipe's. ``NAME=JSON`` in ``--ways`` is UnSTAR with other settings.

All numbers but steps and seconds are ``untrac evaluate``'s; what is near or far is asked in held-out wordings and is
divided by what the model answered before. The same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from in_process import run
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
from unstar_report import report

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.data.builtin.people import people_rows
from lightning_untrac.data.builtin.people.world import SCHOOLS

RIVALS = {"ga": "ga", "npo": "npo", "idkdpo": "idkdpo", "altpo": "altpo", "altpo_given": "altpo"}
"""Names to objectives; ``altpo_given`` is AltPO with another school as the other answer, drawn for each question: the
authors have an instructed model write changed facts, and this model's own draws say nothing but the right answer."""
SWEPT = set(RIVALS) - {"altpo"}
"""At every rate; ``altpo``, whose other answer is the right one here, at the first alone."""
UNSTAR = {"rounds": 20, "samples": 4, "retained_probes": 128}
GIVEN = 4
"""Trained wordings that are given; the others have to be found."""
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
LAST = 100
READINGS = [*range(1, 31), *range(32, 61, 2), *range(65, LAST + 1, 5)]
"""Steps after which a rival's four questions are asked."""
FORMATS = ["{prompt}", "{prompt} Answer and give a reason.", "{prompt} Say what you know and why."]
GREEDY = ["answered", "says_it_does_not_know", "repetition", "unique_4grams"]
HARD = [{"class_path": "leak_at_k", "init_args": {"k": 4, "n": 16}},
        {"class_path": "answered", "init_args": {"formats": FORMATS}}]  # fmt: skip


def written(path: Path, config: dict[str, Any]) -> Path:
    """Write a configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def dataset(name: str, of: str | None = None, **more: Any) -> dict[str, Any]:
    """One of the built-in people's datasets."""
    columns = {"prompt": "prompt", "target": "target", "group": "group"}
    return {"name": name, "path": f"builtin:people/{of or name}", **columns, **more}


def train(home: Path, seed: int) -> None:
    """The model of a seed, and the one that never saw the associations."""
    if not (home / "people" / "model").is_dir():
        run("run", "recipes/people.yaml", "--output", home / "people", "--model.init_seed", seed)
    if (home / "without" / "model").is_dir():
        return
    recipe = yaml.safe_load(Path("recipes/people.yaml").read_text(encoding="utf-8"))
    stage, data = recipe["stages"][0]["pretrain"], recipe["data"]
    corpora = [one for one in data["corpora"] if not one["name"].startswith("forget_")]
    config = {
        "model": {**recipe["model"], **stage["model"]},
        "data": {**data, **stage["data"], "corpora": corpora, "test_sets": []},
        "trainer": {**recipe["trainer"], **stage["trainer"]},
        "steps": stage["steps"],
    }
    path = written(home / "without.yaml", config)
    run("pretrain", "--config", path, "--output", home / "without", "--model.init_seed", seed)


def unlearn(home: Path, number: int, way: str, settings: str, rate: float) -> None:
    """Forget an association in one way, if that was not done before."""
    label = f"{way}-{rate:g}"
    if (home / "people" / f"unlearned-forget_{number}-{label}" / "checksums.json").exists():
        return
    kept = [dataset(f"kept_{kind}", f"kept_{kind}_{number}") for kind in ("near_subject", "near_object", "far")]
    options: dict[str, Any] = {"objective": RIVALS.get(way), "retain": "loss", "steps": LAST, "readings": READINGS,
                               "stop_at": "answered<=0.05"}  # fmt: skip
    forget = dataset(f"forget_{number}", num_examples=GIVEN)
    if way == "altpo_given":
        rows, rng = list(builtin_examples(f"people/forget_{number}", GIVEN, 0)), random.Random(number)
        others = [[school for school in SCHOOLS if school != row["target"]] for row in rows]
        rows = [{**row, "alternative": rng.choice(other)} for row, other in zip(rows, others, strict=True)]
        file = home / f"forget_{number}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        forget = {**dataset(f"forget_{number}"), "path": str(file), "alternative": "alternative"}
    if way not in RIVALS:
        options = {"method": {"class_path": "unstar", "init_args": {**UNSTAR, **json.loads(settings or "{}")}}}
        options["readings"] = 1
    config = {
        "forget": f"forget_{number}", "name": label, "predict": False, "measures": "answered", **options,
        "model": {"lora": LORA, "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": rate}}},
        "data": {
            "block_size": None, "max_length": 128, "append_eos": True, "batch_size": 4, "retained_per_example": 4,
            "corpus_eval_examples": 4, "eval_batch_size": 64,
            "forget": [forget], "corpora": kept,
            "test_sets": [dataset(f"paraphrases_{number}")],
        },
        "trainer": {"accelerator": "cpu"},
    }  # fmt: skip
    path = written(home / "configs" / f"{label}-{number}.yaml", config)
    run("unlearn", "--config", path, "--output", home / "people")


def measure(home: Path, number: int, label: str, model: Path, shots: Path) -> None:
    """Ask a model about an association and about what is near and far, if that was not done before."""
    asked = [dataset(f"given_{number}", f"forget_{number}", num_examples=GIVEN), dataset(f"forget_{number}"),
             dataset(f"paraphrases_{number}")]  # fmt: skip
    rest = [dataset(f"near_subject_{number}"), dataset(f"near_object_{number}"),
            dataset(f"far_{number}", num_examples=200)]  # fmt: skip
    after_shots = {"class_path": "answered_after_shots", "init_args": {"path": str(shots)}}
    for kind, test_sets, measures in (("greedy", asked + rest, GREEDY), ("hard", asked[1:], [*HARD, after_shots])):
        output = home / "measured" / f"{number}-{label}-{kind}"
        if (output / "summary.parquet").exists():
            continue
        data = {"block_size": None, "max_length": 128, "append_eos": True, "eval_batch_size": 256}
        config = {"measures": measures, "model": {"name_or_path": str(model)}, "trainer": {"accelerator": "cpu"},
                  "data": {**data, "test_sets": test_sets}}  # fmt: skip
        path = written(home / "configs" / f"measure-{number}-{label}-{kind}.yaml", config)
        run("evaluate", "--config", path, "--output", output)


def relearn(home: Path, number: int, labels: list[str]) -> None:
    """See how fast an association comes back, if that was not done before: beside the model that never knew it.

    Adapters are merged, so that all models are fine-tuned alike, on all weights.
    """
    folder = home / f"relearned-{number}"
    if (folder / "summary.parquet").exists():
        return
    for part in (".untrac/folder.json", "model"):  # a folder of its own, which the verb knows for one of its kind
        (folder / ".untrac").mkdir(parents=True, exist_ok=True)
        copy = shutil.copy if part.endswith("json") else partial(shutil.copytree, dirs_exist_ok=True)
        copy(home / "people" / part, folder / part)
    shutil.copytree(home / "without" / "model", folder / f"retrained-forget_{number}" / "seed-0", dirs_exist_ok=True)
    for label in labels:
        name = f"unlearned-forget_{number}-{label}"
        merged = AutoPeftModelForCausalLM.from_pretrained(home / "people" / name).merge_and_unload()
        for one in (merged, AutoTokenizer.from_pretrained(home / "people" / name)):
            one.save_pretrained(folder / name)
    config = {
        "forget": f"forget_{number}", "share": 0.5, "steps": 20, "readings": [1, 2, 3, 4, 5, 6, 8, 10, 15, 20],
        "measures": "answered",
        "model": {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-4}}},
        "data": {"block_size": None, "max_length": 128, "append_eos": True, "batch_size": 4,
                 "corpora": [dataset(f"forget_{number}")], "test_sets": [dataset(f"paraphrases_{number}")]},
        "trainer": {"accelerator": "cpu"},
    }  # fmt: skip
    path = written(home / "configs" / f"relearn-{number}.yaml", config)
    run("relearn", "--config", path, "--output", folder)


def main() -> None:
    """Run what was asked for and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--associations", default="1,2,3")
    parser.add_argument("--ways", nargs="*", default=["unstar", *RIVALS], help="or NAME=JSON, UnSTAR's other settings")
    parser.add_argument("--rates", default="1e-3,3e-4", help="of the rivals; UnSTAR takes the first")
    parser.add_argument("--relearn", default="1", help="associations that are taught again")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rates = [float(rate) for rate in given.rates.split(",")]
    ways = [(way.partition("=")[0], way.partition("=")[2]) for way in given.ways]
    ways = [(one, settings) for way, settings in ways for one in (way.split(",") if not settings else [way])]
    for seed in [] if given.report else map(int, given.seeds.split(",")):
        home = given.folder / f"seed{seed}"
        train(home, seed)
        shots = home / "shots.jsonl"
        if not shots.exists():
            rows = people_rows("people/rest", random.Random(0))
            shots.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        labels = [(way, settings, rate) for way, settings in ways for rate in (rates if way in SWEPT else rates[:1])]
        for number in map(int, given.associations.split(",")):
            measure(home, number, "before", home / "people" / "model", shots)
            measure(home, number, "without", home / "without" / "model", shots)
            for way, settings, rate in labels:
                unlearn(home, number, way, settings, rate)
                model = home / "people" / f"unlearned-forget_{number}-{way}-{rate:g}"
                measure(home, number, f"{way}-{rate:g}", model, shots)
        for number in map(int, filter(None, given.relearn.split(","))):
            relearn(home, number, [f"{way}-{rate:g}" for way, _, rate in labels])
    report(given.folder)


if __name__ == "__main__":
    main()
