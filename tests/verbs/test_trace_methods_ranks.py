"""Two ranks give what one process gives, also where an episode is held against a control or ends by its own rise."""

from __future__ import annotations

import sys

import processes
import pytest

from lightning_untrac.tables import InfluenceStore

ATOL = 2e-6
"""Nats per token: see ``test_ranks.py``."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ranks are started by a fork server"),
]

METHODS = {
    "continuation": ("--method", "continuation", "--steps", "3", "--readings", "2", "--seeds", "[0,1]"),
    "kl-radius": ("--method", "untrac", "--steps", "12", "--read_at_kl", "0.001"),
    "own-rise": ("--method", "untrac", "--steps", "12", "--read_at_own_rise", "0.01"),
}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("method", list(METHODS))
def test_two_ranks_give_what_one_gives(untrac, config, settings, tmp_path, method, strategy):
    sgd = ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1")
    data = {key: value for key, value in settings["data"].items() if key != "batch_size"}
    trace = ("trace", "--config", config(data=data), *sgd, *METHODS[method])
    one = untrac(*trace, "--data.batch_size", 6, "--output", tmp_path / "one")
    assert one.code == 0, one.text
    arguments = ("--data.batch_size", 3, "--output", tmp_path / "two", "--trainer.devices", 2)
    ranks = processes.start_ranks(
        2, *trace, *arguments, "--trainer.strategy", strategy, log=tmp_path / "log", OMP_NUM_THREADS="1"
    )
    assert [rank.wait() for rank in ranks] == [0, 0], "\n\n".join(rank.text for rank in ranks)
    alone, together = ({row.key: row for row in InfluenceStore(tmp_path / folder).rows()} for folder in ("one", "two"))
    assert alone
    assert alone.keys() == together.keys()
    for key, row in alone.items():
        assert together[key].influence == pytest.approx(row.influence, abs=ATOL), key
        assert (together[key].final, together[key].status) == (row.final, row.status)
