"""What chance leaves of a method's answer, in sentences."""

from __future__ import annotations

from typing import Final

from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_text
from lightning_untrac.results.sentence import Name, Sentence, listed
from lightning_untrac.results.soundness import hardly_learned, no_verdict
from lightning_untrac.results.uncertainty import InfluenceIntervals

ONE_SEED: Final = "leads under the one seed that was run; what another order of batches would change is not known"
"""What is said of a corpus that is first where the noise of the order of batches is not known."""


def chance_title(intervals: InfluenceIntervals) -> str:
    """What the intervals hold, in words."""
    parts = ["the choice of examples"] if intervals.from_examples else []
    if intervals.from_seeds:
        parts.append(f"{intervals.matrix.num_seeds} seeds")
    if intervals.from_steps:
        parts.append("the order of batches, as one seed's steps tell it")
    return " and ".join(parts) + (", one seed" if intervals.order_unknown else "")


def sign_title(matrix: InfluenceMatrix) -> tuple[str, str]:
    """What a positive and a negative influence of a method say, in words that go below a table or beside colours."""
    if not method_text(matrix.method).signed:
        return "worth more than its place", "worth less than its place, which the others get (not: works against)"
    return "helps", "works against"


def candidates(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None, test_set: str) -> list[str]:
    """The corpora that a test set may come from most: the strongest, and those that chance does not tell from it.

    Args:
        matrix: Influences of a method.
        intervals: Its intervals, if it has any.
        test_set: One of its test sets.

    Returns:
        The strongest first; nothing where there is no verdict, or where the strongest is no more than chance makes.
    """
    strongest = matrix.strongest()[matrix.test_sets.index(test_set)]
    row, column = matrix.corpora.index(strongest) if strongest else 0, matrix.test_sets.index(test_set)
    if not strongest or not matrix.values[row, column] > 0:
        return []
    if intervals is None or not intervals.known[row, column]:
        return [strongest]
    return intervals.leaders(test_set) if strongest in intervals.away_from_zero(test_set) else []


def verdict(intervals: InfluenceIntervals, test_set: str) -> Sentence:
    """Which corpora of a test set are told apart: from the strongest, and from no influence.

    Args:
        intervals: Of one method.
        test_set: Which of its test sets.

    Returns:
        A sentence or two, or the reason why there is no verdict; empty where fewer than two corpora have intervals.
    """
    matrix = intervals.matrix
    if reason := no_verdict(matrix, test_set):
        return reason
    column = matrix.test_sets.index(test_set)
    known = intervals.known[:, column]
    if known.sum() < 2:
        return ()
    near_zero, away = intervals.near_zero(test_set), intervals.away_from_zero(test_set)
    signed = method_text(matrix.method).signed
    nothing = "no influence" if signed else "what its place is worth"
    if not (found := candidates(matrix, intervals, test_set)):
        start: Sentence = (Name(test_set), ": no corpus helps it by more than chance could.")
        if against := [name for name in away if matrix.values[matrix.corpora.index(name), column] < 0]:
            below = "against it" if signed else "below it"
            start += (f" Distinguishable from {nothing}, {below}: ", *listed(against), ".")
    else:
        first, *others = found
        start = (Name(test_set), ": ", Name(first))
        ahead = f" {ONE_SEED}." if intervals.order_unknown else " is ahead of all others."
        start += (" cannot be told apart from ", *listed(others), ".") if others else (ahead,)
        if near_zero:
            start += (f" Not distinguishable from {nothing}: ", *listed(near_zero), ".")
    if missing := [name for name, has in zip(matrix.corpora, known, strict=True) if not has]:
        start += (" Without an interval, and left out of this: ", *listed(missing), ".")
    return start


def verdicts(intervals: InfluenceIntervals) -> list[Sentence]:
    """A verdict, or why there is none, for each test set that has one."""
    return [found for test_set in intervals.matrix.test_sets if (found := verdict(intervals, test_set))]


def findings(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None = None) -> list[Sentence]:
    """What stands below a matrix: verdicts where chance is known, and in any case why a test set has none.

    Args:
        matrix: Influences of a method.
        intervals: Its intervals, if it has any.
    """
    reasons = [reason for test_set in matrix.test_sets if (reason := no_verdict(matrix, test_set))]
    said = reasons if intervals is None else verdicts(intervals)
    return said + [remark for test_set in matrix.test_sets if (remark := hardly_learned(matrix, test_set))]
