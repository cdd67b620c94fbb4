"""Every shipped term, anchor and rectifier on two ranks: the steps of one process, whole weights or sharded ones."""

from __future__ import annotations

import sys
from typing import Any

import every_objective
import objectives_on_ranks
import processes
import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

NAMES = list(objectives_on_ranks.settings())


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory, text_files: Any, model_folders: Any, cache_folder: str
) -> dict[str, Any]:
    """Where every objective ends in one process, and on two ranks of each strategy."""
    folder = tmp_path_factory.mktemp("objectives")
    every_objective.write_pairs(text_files, folder)
    shared = (NAMES, str(folder), model_folders("gpt2", "float64"), cache_folder)
    started = {
        strategy: processes.call_on_ranks(
            2, objectives_on_ranks.run_all, *shared, strategy, str(folder / f"{strategy}.pt"), log=folder / strategy
        )
        for strategy in ("ddp", "fsdp2")
    }
    objectives_on_ranks.run_all(*shared, None, str(folder / "one.pt"))
    for ranks in started.values():
        processes.wait_for_all(ranks, 500)
    return {name: torch.load(folder / f"{name}.pt") for name in ("one", *started)}


def pairs(names: Any) -> list[tuple[str, str]]:
    """Each name with each strategy that can run it."""
    every = [(name, strategy) for name in names for strategy in ("ddp", "fsdp2")]
    return [pair for pair in every if pair[1] == "ddp" or pair[0] not in objectives_on_ranks.NEVER_SHARDED]


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((tensor - other[name]).abs().max()) for name, tensor in one.items())


@pytest.mark.parametrize(("name", "strategy"), pairs(NAMES))
def test_two_ranks_take_the_steps_of_one_process(name: str, strategy: str, ended: Any) -> None:
    expected, found = ended["one"], ended[strategy]
    assert largest_difference(expected[name], found[name]) < 1e-11
    torch.testing.assert_close(found[f"{name}/penalty"], expected[f"{name}/penalty"], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("name", "strategy"), pairs(objectives_on_ranks.GOES_ON))
def test_a_run_that_goes_on_ends_in_the_same_weights(name: str, strategy: str, ended: Any) -> None:
    found = ended[strategy]
    assert largest_difference(found[f"{name}, whole"], found[f"{name}, resumed"]) == 0
    assert largest_difference(ended["one"][f"{name}, whole"], found[f"{name}, whole"]) < 1e-11


def test_the_objectives_differ(ended: Any) -> None:
    """Or equal weights would say nothing."""
    plain = ended["one"]["GradientAscent"]
    for name in NAMES:
        assert name == "GradientAscent" or largest_difference(plain, ended["one"][name]) > 1e-6, name
    for name in ("FisherAnchor", "L2Anchor"):
        assert (ended["one"][f"{name}/penalty"][1:] > 0).all()
