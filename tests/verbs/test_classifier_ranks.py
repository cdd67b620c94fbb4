"""A classifier that two ranks train, unlearn, retrain and judge is that of one process, and a kill changes nothing."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import pytest
import yaml
from safetensors.torch import load_file

from lightning_untrac.tables import equal_tables, read_measurements, read_summary
from lightning_untrac.tables.judged import read_judged_measures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

STRATEGIES = ("ddp", "fsdp2")
NEAR = 1e-6
"""Weights are float64; sixty steps of Adam, which divides by small numbers, make 1e-9 of their rounding."""

NUMBERS = {"value", "weight", "ci_low", "ci_high"}

BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
SIZES = {"rest": 60, "forget": 19, "test": 17}
"""Steps of 12 and then 7 of what is forgotten: one rank has less."""

MEASURES = ("--measures", "loss,accuracy,predicted_class")
SGD = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1", "--model.dtype", "float64")
CUT = ("--objective", "deepcut", "--retain", "loss", *SGD, "--steps", "4", "--readings", "2")
ONE_VIEW = ("--model.unlearning_objective.forget.views", "1")
"""Dropout, of which further views are made, draws other masks where a step is cut otherwise."""

KINDS: dict[str, list[tuple[str, ...]]] = {
    "texts": [
        ("pretrain", "--steps", "60"),
        ("retrain", "--forget", "forget", "--steps", "12", "--seeds", "[0,1]"),
        ("unlearn", "--forget", "forget", *CUT, *ONE_VIEW, *MEASURES),
        ("judge", "--forget", "forget"),
    ],
    "words": [("pretrain", "--steps", "30"), ("unlearn", "--forget", "forget", *CUT, *ONE_VIEW)],
}


def write_words(folder: Path) -> dict[str, str]:
    """Files of sentences whose words have classes, of unlike lengths; the first two words have none."""
    sea, home = ["boat", "pier", "tide"], ["oven", "salt", "cook"]
    paths = {}
    for name, count in SIZES.items():
        rows = []
        for index in range(count):
            words = [(sea, home)[(index + place) // 2 % 2][index * place % 3] for place in range(1 + index % 4)]
            tags = ["sea" if word in sea else "home" for word in words]
            words, tags = [name, str(index), *words], [-100, -100, *tags]
            rows.append(json.dumps({"tokens": words, "tags": tags}))
        paths[name] = str(folder / f"{name}.jsonl")
        Path(paths[name]).write_text("\n".join(rows))
    return paths


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory, cache_folder: str) -> tuple[Path, Callable[..., list[Any]]]:
    """The folder of all runs, and a command of one."""
    folder = tmp_path_factory.mktemp("classifiers")
    built_in = {name: f"builtin:topics/{name}" for name in SIZES}
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}
    model = {"config": BERT, "dropout": False, "dtype": "float64", "optimizer": adam}
    models = {
        "texts": {**model, "tokenizer": "words", "labels": ["garden", "harbour", "kitchen", "weather"]},
        "words": {**model, "tokenizer": "byte", "labels": ["sea", "home"], "task": "token_classification"},
    }
    for kind, paths in {"texts": built_in, "words": write_words(folder)}.items():
        sets = {name: {"name": name, "path": path, "num_examples": SIZES[name]} for name, path in paths.items()}
        data = {"corpora": [sets["rest"], sets["forget"]], "test_sets": [sets["test"]], "cache_folder": cache_folder}
        content: dict[str, Any] = {"data": data, "trainer": {"accelerator": "cpu", "enable_progress_bar": False}}
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(content))
        (folder / f"{kind}-pretrain.yaml").write_text(yaml.safe_dump({**content, "model": models[kind]}))

    def make(kind: str, output: str, strategy: str | None, verb: str, *options: Any) -> list[Any]:
        config = folder / (f"{kind}-pretrain.yaml" if verb == "pretrain" else f"{kind}.yaml")
        words = [verb, "--config", config, "--output", folder / output, *options]
        if strategy is None:
            return [*words, "--data.batch_size", 12]
        return [*words, "--data.batch_size", 6, "--trainer.devices", 2, "--trainer.strategy", strategy]

    return folder, make


@pytest.fixture(scope="module")
def ended(command: tuple[Path, Callable[..., list[Any]]]) -> Path:
    """The folders of all runs: in one process, and on two ranks of each strategy."""
    folder, make = command

    def all_of(name: str, strategy: str | None) -> list[list[Any]]:
        return [make(kind, f"{kind}-{name}", strategy, *words) for kind, verbs in KINDS.items() for words in verbs]

    started = [[processes.start_in_turn(all_of("one", None), log=folder / "one")]]
    started += [processes.start_ranks_in_turn(2, all_of(name, name), log=folder / name) for name in STRATEGIES]
    for ranks in started:
        processes.wait_for_all(ranks, 500)
    return folder


def values(table: Any) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by what they are of."""
    keys = [key for key in ("step", "measure", "dataset", "example", "statistic") if key in table.column_names]
    rows = table.to_pylist()
    found = {(Path(row["model"]).name, *(row[key] for key in keys)): row for row in rows}
    assert len(found) == len(rows)
    return found


def judged(folder: Path) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(read_judged_measures(folder))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_are_one_process(kind: str, strategy: str, ended: Path) -> None:
    one, two = (ended / f"{kind}-{name}" for name in ("one", strategy))
    for model in ("model", "unlearned-forget"):
        weights = [load_file(folder / model / "model.safetensors") for folder in (one, two)]
        assert weights[0].keys() == weights[1].keys()
        for name, tensor in weights[0].items():
            assert (tensor - weights[1][name]).abs().max() < NEAR, (model, name)
    for read in (read_measurements, read_summary, *([judged] if kind == "texts" else [])):
        expected, found = values(read(one)), values(read(two))
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            numbers = {column: row[column] for column in NUMBERS & row.keys() if row[column] is not None}
            other = {column: found[key][column] for column in NUMBERS & row.keys() if found[key][column] is not None}
            assert other == pytest.approx(numbers, abs=NEAR, rel=NEAR, nan_ok=True), key


def test_no_warning_of_torch_comes_through(ended: Path) -> None:
    assert not [log for log in ended.glob("*.[01]") if "UserWarning" in log.read_text()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_runs_do_what_they_are_meant_to(kind: str, ended: Path) -> None:
    """Or all of the above would hold for runs that do nothing."""
    found = {key[1:]: row["value"] for key, row in values(read_summary(ended / f"{kind}-one")).items()}
    loss = {step: found[step, "loss", "forget", "mean"] for step in (0, 4)}
    assert loss[4] > loss[0] + 1e-2
    assert found[0, "accuracy", "rest", "mean"] > 0.5
    if kind == "texts":
        rows = read_measurements(ended / "texts-one").to_pylist()
        assert len({row["value"] for row in rows if row["measure"] == "predicted_class"}) > 1


def test_killed_on_both_ranks_the_same_command_ends_in_the_same_bits(
    command: tuple[Path, Callable[..., list[Any]]], ended: Path
) -> None:
    """With a second view by dropout, whose masks are drawn anew after the kill."""
    folder, make = command
    start = ("--model.name_or_path", ended / "texts-one" / "model", "--checkpoint_every", "2", "--forget", "forget")
    kill = {"class_path": "on_ranks.KillOnce", "init_args": {"steps": 3, "mark": str(folder / "mark")}}
    callbacks = ("--trainer.callbacks", json.dumps([kill]))
    parts = ("part-cut", "part-whole")
    # The second run finds the mark of the first, and is not killed.
    both = [make("texts", part, "ddp", "unlearn", *CUT, *start, *callbacks) for part in parts]
    ranks = processes.start_ranks_in_turn(2, both, log=folder / "killed")
    assert [rank.wait() for rank in ranks] == [-signal.SIGKILL] * 2, "\n\n".join(rank.text for rank in ranks)
    assert [path.name for path in (folder / parts[0] / "checkpoints").rglob("step=*.ckpt")]
    processes.wait_for_all(processes.start_ranks_in_turn(2, both, log=folder / "again"), 300)
    for read in (read_summary, read_measurements):
        assert equal_tables(*(read(folder / part) for part in parts), ignore=["model"])
    weights = [load_file(folder / part / "unlearned-forget" / "model.safetensors") for part in parts]
    assert all(tensor.equal(weights[1][name]) for name, tensor in weights[0].items())
