"""Two ranks trace as one process does, also where a rank's share of either stream is empty, and none waits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import processes
import pytest
import yaml

from lightning_untrac.tables import InfluenceStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]


def retain(term: str, weight: float) -> dict[str, Any]:
    return {"class_path": term, "init_args": {"weight": weight}}


OBJECTIVES: dict[str, Any] = {
    "retain loss": {"retain": [retain("RetainLoss", 1.5)]},
    "anchor": {"anchor": {"class_path": "FisherAnchor", "init_args": {"weight": 100.0, "fisher_examples": 6}}},
    "gru": {"retain": [retain("RetainLoss", 1.5)], "rectify": "GRU"},
    "hidden states": {"forget": "RMU", "retain": [retain("RetainHiddenStates", 1.0), retain("RetainBound", 0.05)]},
    "adapters": {
        "lora": {"r": 4, "lora_alpha": 40, "target_modules": ["q_proj", "v_proj", "o_proj"]},
        "forget": "NPO",
        "retain": [retain("RetainLoss", 1.5)],
        "anchor": {"class_path": "L2Anchor", "init_args": {"weight": 0.1}},
        "rectify": "SAM",
    },
    # A mean over sequences with cached log-probabilities, one over tokens with logits, and hidden states, all at once.
    "all needs": {
        "forget": "terms.SequenceTerm",
        "retain": [retain("RetainKL", 20.0), retain("terms.HiddenStates", 5.0)],
    },
}
STRATEGIES = {"ddp": "ddp", "fsdp2": "fsdp2", "fsdp1": '{"class_path": "on_ranks.FSDPOnCPU"}'}
BY_FSDP1 = ("retain loss", "all needs")
STEPS = ("--method", "untrac", "--passes", 1, "--readings", 2)


@pytest.fixture(scope="module")
def influences(
    tmp_path_factory: Any, text_files: Any, cache_folder: str, model_folders: Any
) -> dict[str, dict[str, dict[Any, float]]]:
    """By strategy and objective, of corpora of 12, 9 and 10 examples: in some steps of two ranks some have none."""
    folder = tmp_path_factory.mktemp("retaining")

    def write(objective: str) -> Path:
        settings = dict(OBJECTIVES[objective])
        content = {
            "model": {
                "name_or_path": model_folders("llama"),
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
                "lora": settings.pop("lora", None),
                "unlearning_objective": settings,
            },
            "data": {
                "corpora": [{"name": n, "path": str(text_files[n])} for n in ("birds", "ships", "bread")],
                "test_sets": [{"name": n, "path": str(text_files[n])} for n in ("ask-birds", "ask-ships")],
                "retained_per_example": 2,
                "cache_folder": cache_folder,
            },
            "trainer": {"accelerator": "cpu"},
        }
        path = folder / f"{objective}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def command(objective: str, strategy: str) -> list[Any]:
        return ["trace", "--config", files[objective], *STEPS, "--output", folder / f"{objective}, {strategy}"]

    files = {name: write(name) for name in OBJECTIVES}
    whole = [[*command(name, "one"), "--data.batch_size", 4] for name in OBJECTIVES]
    started = {"one": (tuple(OBJECTIVES), [processes.start_in_turn(whole, log=folder / "one.log")])}
    for strategy, flag in STRATEGIES.items():
        two = ("--data.batch_size", 2, "--trainer.devices", 2, "--trainer.strategy", flag)
        names = BY_FSDP1 if strategy == "fsdp1" else tuple(OBJECTIVES)
        commands = [[*command(name, strategy), *two] for name in names]
        started[strategy] = (names, processes.start_ranks_in_turn(2, commands, log=folder / strategy))
    found: dict[str, Any] = {}
    for strategy, (names, ranks) in started.items():
        processes.wait_for_all(ranks, 500)
        found[strategy] = {name: read(folder / f"{name}, {strategy}") for name in names}
    return found


def read(folder: Any) -> dict[Any, float]:
    return {(row.corpus, row.test_set, row.step): row.influence for row in InfluenceStore(folder).rows()}


@pytest.mark.parametrize(
    ("objective", "strategy"),
    [
        *((name, strategy) for strategy in ("ddp", "fsdp2") for name in OBJECTIVES),
        *((name, "fsdp1") for name in BY_FSDP1),
    ],
)
def test_two_ranks_take_the_steps_of_one_process(objective: str, strategy: str, influences: Any) -> None:
    expected, found = influences["one"][objective], influences[strategy][objective]
    assert found.keys() == expected.keys()
    assert max(map(abs, expected.values())) > 1e-2
    for key, influence in expected.items():
        assert found[key] == pytest.approx(influence, abs=5e-6), key
