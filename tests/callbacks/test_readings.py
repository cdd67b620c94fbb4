from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.influence_logger import InfluenceLogger

from lightning_untrac import ReadingSchedule
from lightning_untrac.errors import UnlearningError
from lightning_untrac.tables import InfluenceStore


@pytest.mark.parametrize(
    ("readings", "expected"),
    [(1, {6}), (2, {3, 6}), (6, {1, 2, 3, 4, 5, 6}), ([1, 2], {1, 2, 6}), (50, set(range(1, 7)))],
)
@pytest.mark.parametrize("accumulation", [1, 3])
def test_losses_are_read_at_the_asked_optimizer_steps(
    trace: Any, make_data: Any, readings: Any, expected: set[int], accumulation: int
) -> None:
    _, rows, _ = trace(
        data=make_data(("birds",), ("ask-birds",), batch_size=2),
        steps=6,
        readings=readings,
        accumulate_grad_batches=accumulation,
    )
    assert {row.step for row in rows} == expected
    assert {row.step for row in rows if row.final} == {6}


def test_episodes_of_different_lengths_each_end_in_a_reading(trace: Any, make_data: Any) -> None:
    _, rows, _ = trace(data=make_data(batch_size=4), steps=None)  # one pass: 12, 9 and 10 examples
    assert {r.corpus: r.step for r in rows if r.final} == {"birds": 3, "ships": 3, "bread": 3}
    _, rows, _ = trace(data=make_data(batch_size=1), steps=None)
    assert {r.corpus: r.step for r in rows if r.final} == {"birds": 12, "ships": 9, "bread": 10}


def test_lightnings_own_interval_still_works(trace: Any, make_data: Any) -> None:
    _, rows, _ = trace(data=make_data(("birds",), batch_size=2), steps=6, readings=1, val_check_interval=2)
    assert {row.step for row in rows} == {2, 4, 6}


def test_a_schedule_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ReadingSchedule(0)


def test_the_losses_before_are_those_of_the_start_weights(trace: Any, make_data: Any) -> None:
    _, first, _ = trace(data=make_data(batch_size=4))
    _, second, _ = trace(data=make_data(batch_size=2), optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    before = {(r.test_set, r.loss_before) for r in first}
    assert before == {(r.test_set, r.loss_before) for r in second}
    assert len(before) == 2
    for row in first:
        assert row.influence == row.loss_after - row.loss_before


def test_without_validation_data_there_is_no_influence(trace: Any) -> None:
    with pytest.raises(UnlearningError, match="limit_val_batches"):
        trace(limit_val_batches=0)


def test_each_finished_episode_is_a_file_and_the_fit_ends_with_their_table(
    trace: Any, make_data: Any, tmp_path: Any
) -> None:
    data = make_data(batch_size=4)
    there: list[tuple[int, int]] = []

    class Looks(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                files = list((tmp_path / "episodes" / "influence" / "untrac").glob("*.parquet"))
                there.append((len(files), len(InfluenceStore(tmp_path).rows())))

    _, rows, _ = trace(data=data, folder=tmp_path, readings=3, callbacks=(Looks(),))
    # Three readings of two test sets an episode; the last one writes the file.
    assert there == [(0, 0), (0, 0), (1, 6), (1, 6), (1, 6), (2, 12), (2, 12), (2, 12), (3, 18)]
    assert not list((tmp_path / "episodes" / "unfinished").glob("*/*"))
    assert pq.read_table(tmp_path / "influence.parquet").num_rows == len(rows) == 18
    assert InfluenceStore(tmp_path).rows() == sorted(rows, key=lambda row: row.key)


def test_what_is_finished_is_in_the_table_after_an_error(trace: Any, make_data: Any, tmp_path: Any) -> None:
    class Fails(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        trace(data=make_data(batch_size=4), folder=tmp_path, callbacks=(Fails(),))
    assert set(pq.read_table(tmp_path / "influence.parquet")["corpus"].to_pylist()) == {"birds"}


@pytest.mark.parametrize("readout", ["example", "relative"])
def test_readouts(trace: Any, make_data: Any, readout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    init = InfluenceLogger.__init__
    monkeypatch.setattr(InfluenceLogger, "__init__", lambda self, *a: init(self, *a, readout=readout))
    _, rows, _ = trace(data=make_data(batch_size=4))
    for row in rows:
        if readout == "relative":
            expected = (row.loss_after - row.loss_before) / (row.loss_after + row.loss_before)
        else:
            expected = row.example_loss_after - row.example_loss_before
            assert expected != row.loss_after - row.loss_before
        assert row.influence == pytest.approx(expected, rel=1e-12)
