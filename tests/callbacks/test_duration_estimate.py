from __future__ import annotations

import time
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks import DurationEstimate, EpisodeProgress, ReadingSchedule

from lightning_untrac.functional.costs import Work


class Slow(Callback):
    """Steps and readings of a known length."""

    def on_train_batch_start(self, *_: Any) -> None:
        time.sleep(0.02)

    def on_validation_batch_start(self, *_: Any) -> None:
        time.sleep(0.05)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(EpisodeProgress, "announce", lambda self, text: lines.append(text))
    return lines


def work_of(steps: int, readings: int = 0) -> Work:
    return Work(episodes=1, steps=steps, step_tokens=steps * 1000.0, readings=readings, reading_tokens=1.0)


def test_what_is_left_follows_from_what_was_timed(trace: Any, make_data: Any, said: list[str]) -> None:
    """Steps take at least 20 ms here, and a reading 50."""
    asked: list[tuple[int, int]] = []
    progress = EpisodeProgress("mine")
    seen: dict[str, float] = {}

    def works(accumulation: int, replicas: int) -> dict[str, Work]:
        asked.append((accumulation, replicas))
        return {"mine": work_of(10**6), "theirs": work_of(10**6, readings=10**6)}

    class Record(DurationEstimate):
        def _say(self, trainer: Any) -> None:
            seen.update(step=self._seconds, tokens=self._tokens, reading=self._reading or 0.0)
            super()._say(trainer)

    trace(
        data=make_data(("birds",), batch_size=2),
        steps=6,
        callbacks=[progress, Record(progress, works), Slow(), ReadingSchedule(1)],
        enable_progress_bar=True,
    )
    assert len(said) == 1
    assert said[0].startswith("mine: 1 episode with 1000000 steps and 0 readings in all, about ")
    assert "; theirs would take about " in said[0]
    assert asked == [(1, 1)]
    assert 4 * 0.02 <= seen["step"] < 4 * 0.5  # four batches are timed, the first is not
    assert 0.05 <= seen["reading"] < 2


def test_what_was_finished_meanwhile_counts(trace: Any, make_data: Any, said: list[str]) -> None:
    """Episodes of one step are timed in the second: by then the first is finished, and was to do all the same."""
    begun: list[int] = []

    class Begun(Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            begun.append(1)

    progress = EpisodeProgress("mine")
    left = DurationEstimate(progress, lambda *_: {"mine": Work(episodes=2 - len(begun), steps=2, readings=1)})
    trace(
        data=make_data(("birds", "ships"), batch_size=20),
        steps=1,
        callbacks=[progress, left, Begun(), ReadingSchedule(1)],
        enable_progress_bar=True,
    )
    assert len(begun) == 2
    assert said[0].startswith("mine: 2 episodes with 2 steps and 1 reading in all")


def test_a_large_batch_does_not_cost_as_much_a_token_as_a_small_one() -> None:
    """Timed on steps of 10 tokens, with a reading whose batches show what is fixed: 10 ms and 10 us a token."""
    estimate = DurationEstimate(EpisodeProgress("mine"), lambda *_: {})
    estimate._read = [(0.0, 9.0), *((float(size), 0.010 + 1e-5 * size) for size in (1000, 500, 100))]
    estimate._reading = 1.0
    estimate._batches, estimate._tokens, estimate._seconds = 1 + 4, 40, 4 * 3 * (0.010 + 1e-4)
    estimate._updates, estimate._updating = 4, 4 * 0.002
    speeds = estimate._speeds(1, 100.0)
    assert speeds.step == pytest.approx(0.002 + 3 * 0.010)
    assert speeds.step_token == pytest.approx(3e-5)
    assert speeds.reading_token == pytest.approx(0.01)


def test_nothing_is_said_without_a_bar(trace: Any, make_data: Any, said: list[str]) -> None:
    progress = EpisodeProgress("mine")
    estimate = DurationEstimate(progress, lambda accumulation, replicas: {"mine": work_of(1)})
    trace(data=make_data(("birds",), batch_size=2), steps=6, callbacks=[estimate, ReadingSchedule(1)])
    assert said == []
