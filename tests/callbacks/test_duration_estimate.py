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
    assert said[0].startswith("mine: 1 episodes with 1000000 steps and 0 readings in all, about ")
    assert "; theirs would take about " in said[0]
    assert asked == [(1, 1)]
    assert 4 * 0.02 <= seen["step"] < 4 * 0.5  # four batches are timed, the first is not
    assert 0.05 <= seen["reading"] < 2


def test_nothing_is_said_without_a_bar(trace: Any, make_data: Any, said: list[str]) -> None:
    progress = EpisodeProgress("mine")
    estimate = DurationEstimate(progress, lambda accumulation, replicas: {"mine": work_of(1)})
    trace(data=make_data(("birds",), batch_size=2), steps=6, callbacks=[estimate, ReadingSchedule(1)])
    assert said == []
