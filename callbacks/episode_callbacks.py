"""The callbacks of a fit that unlearns, in the order that they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightning.pytorch.callbacks import Callback
from lightning_untrac.callbacks.collapse_guard import CollapseGuard
from lightning_untrac.callbacks.read_at_strength import STRENGTH_READINGS, ReadAtStrength
from lightning_untrac.callbacks.reading_schedule import ReadingSchedule


def episode_callbacks(
    first: Iterable[Callback],
    last: Iterable[Callback],
    readings: int | Sequence[int],
    guard: CollapseGuard | None,
    read_at: ReadAtStrength | None = None,
    course: Iterable[Callback] = (),
) -> list[Callback]:
    """The guard decides before the schedule asks for a reading, and both before anything is recorded.

    Args:
        first: progress, and what looks after the weights.
        last: what records readings, and saves.
        readings: see :class:`ReadingSchedule`; a number of them is dense at the start where ``read_at`` is given.
        guard: ends an episode whose model has collapsed; None for episodes that do not ascend.
        read_at: ends an episode at a strength.
        course: what ends forgetting between two readings, and heals.
    """
    dense = isinstance(readings, int) and read_at is not None
    schedule = ReadingSchedule(STRENGTH_READINGS if dense else readings)
    return [*first, *filter(None, (guard, *course, schedule, read_at)), *last]
