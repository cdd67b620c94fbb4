"""What chance leaves of a method's answer, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_untrac.results.narrative import Name, Sentence
from lightning_untrac.results.uncertainty import InfluenceIntervals

_NAMED_AT_MOST = 6


def chance_title(intervals: InfluenceIntervals) -> str:
    """What the intervals hold, in words."""
    of_seeds = f"{intervals.matrix.num_seeds} seeds"
    if not intervals.from_examples:
        return of_seeds
    return "the choice of examples" + (f" and {of_seeds}" if intervals.from_seeds else ", one seed")


def verdict(intervals: InfluenceIntervals, test_set: str) -> Sentence:
    """Which corpora of a test set are told apart: from the strongest, and from no influence.

    Args:
        intervals: Of one method.
        test_set: Which of its test sets.

    Returns:
        A sentence or two; empty where fewer than two corpora have intervals.
    """
    matrix = intervals.matrix
    column = matrix.test_sets.index(test_set)
    known = intervals.known[:, column]
    if known.sum() < 2:
        return ()
    leaders, near_zero = intervals.leaders(test_set), intervals.near_zero(test_set)
    away = intervals.away_from_zero(test_set)
    first, *others = leaders
    if first not in away or matrix.values[matrix.corpora.index(first), column] <= 0:
        start: Sentence = (Name(test_set), ": no corpus helps it by more than chance could.")
        if against := [name for name in away if matrix.values[matrix.corpora.index(name), column] < 0]:
            start += (" Distinguishable from no influence, against it: ", *_listed(against), ".")
    else:
        start = (Name(test_set), ": ", Name(first))
        start += (" cannot be told apart from ", *_listed(others), ".") if others else (" is ahead of all others.",)
        if near_zero:
            start += (" Not distinguishable from no influence: ", *_listed(near_zero), ".")
    if missing := [name for name, has in zip(matrix.corpora, known, strict=True) if not has]:
        start += (" Without an interval, and left out of this: ", *_listed(missing), ".")
    return start


def verdicts(intervals: InfluenceIntervals) -> list[Sentence]:
    """A verdict for each test set that has one."""
    return [found for test_set in intervals.matrix.test_sets if (found := verdict(intervals, test_set))]


def _listed(names: Sequence[str]) -> Sentence:
    parts: list[str | Name] = []
    shown = names[:_NAMED_AT_MOST]
    for place, name in enumerate(shown):
        last = place == len(shown) - 1 and len(names) == len(shown)
        parts += [" and " if last and place else ", " if place else "", Name(name)]
    more = len(names) - len(shown)
    return (*parts, f" and {more} more") if more else tuple(parts)
