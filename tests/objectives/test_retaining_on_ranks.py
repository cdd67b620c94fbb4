"""Two ranks take the same steps as one process, also where a rank's share of either stream is empty, and none waits."""

from __future__ import annotations

import socket
import sys
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
    "kl": {"retain": [retain("RetainKL", 20.0)]},
    "anchor": {"anchor": {"class_path": "FisherAnchor", "init_args": {"weight": 100.0, "fisher_examples": 6}}},
    "gru": {"retain": [retain("RetainLoss", 1.5)], "rectify": "GRU"},
    "sam": {"forget": "NPO", "retain": [retain("RetainLoss", 1.5)], "rectify": "SAM"},
    "sam alone": {"rectify": "SAM"},
    "hidden states": {"forget": "RMU", "retain": [retain("RetainHiddenStates", 1.0), retain("RetainBound", 0.05)]},
    # A mean over sequences with cached log-probabilities, one over tokens with logits, and hidden states, all at once.
    "all needs": {
        "forget": "terms.SequenceTerm",
        "retain": [retain("RetainKL", 20.0), retain("terms.HiddenStates", 5.0)],
    },
}
FSDP1 = '{"class_path": "on_ranks.FSDPOnCPU"}'
STEPS = ("--method", "untrac", "--passes", 1, "--readings", 2)


@pytest.fixture
def config(tmp_path: Any, text_files: Any, cache_folder: str, model_folders: Any) -> Any:
    """A configuration: corpora of 12, 9 and 10 examples, so that in steps of two ranks with two each some are empty."""

    def write(objective: str) -> Any:
        content = {
            "model": {
                "name_or_path": model_folders("llama"),
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
                "unlearning_objective": OBJECTIVES[objective],
            },
            "data": {
                "corpora": [{"name": n, "path": str(text_files[n])} for n in ("birds", "ships", "bread")],
                "test_sets": [{"name": n, "path": str(text_files[n])} for n in ("ask-birds", "ask-ships")],
                "retained_per_example": 2,
                "cache_folder": cache_folder,
            },
            "trainer": {"accelerator": "cpu"},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def two_ranks(*arguments: Any, log: Any) -> list[Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = processes.start_ranks(2, *arguments, "--trainer.devices", 2, log=log, port=port, OMP_NUM_THREADS="1")
    for rank in ranks:
        rank.wait()
    return ranks


def influences(folder: Any) -> dict[Any, float]:
    return {(row.corpus, row.test_set, row.step): row.influence for row in InfluenceStore(folder).rows()}


@pytest.mark.parametrize(
    ("objective", "strategy"),
    [
        *((name, "ddp") for name in OBJECTIVES),
        *((name, "fsdp2") for name in ("retain loss", "all needs", "hidden states")),
        *((name, FSDP1) for name in ("retain loss", "all needs")),
    ],
)
def test_two_ranks_take_the_steps_of_one_process(objective: str, strategy: str, config: Any, tmp_path: Any) -> None:
    command = ["trace", "--config", config(objective), *STEPS]
    one = processes.start(*command, "--data.batch_size", 4, "--output", tmp_path / "one", log=tmp_path / "one.log")
    assert one.wait() == 0, one.text
    ranks = two_ranks(
        *command, "--data.batch_size", 2, "--trainer.strategy", strategy, "--output", tmp_path / "two",
        log=tmp_path / "log",
    )  # fmt: skip
    assert [rank.process.exitcode for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    expected, found = influences(tmp_path / "one"), influences(tmp_path / "two")
    assert found.keys() == expected.keys()
    assert max(map(abs, expected.values())) > 1e-2
    for key, influence in expected.items():
        assert found[key] == pytest.approx(influence, abs=5e-6), key
