"""What a run's tables say, in sentences: the answer for each test set."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lightning_untrac.results.chance import candidates
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import REFERENCE, method_text, method_title
from lightning_untrac.results.sentence import Name, Part, Sentence, listed
from lightning_untrac.results.soundness import why_no_verdict
from lightning_untrac.results.style import format_number, perplexity_change, unit_title
from lightning_untrac.tables.schema import NATS_PER_TOKEN, NATS_PER_TOKEN_MEAN_OF_EXAMPLES

if TYPE_CHECKING:
    from lightning_untrac.results.uncertainty import InfluenceIntervals

_CLOSE: Final = 1.1
#: Above this ratio the next is near zero and the ratio says nothing.
_FAR: Final = 5.0


def headline_method(methods: Sequence[str], reference: str = REFERENCE, failed: Collection[str] = ()) -> str:
    """The method whose matrix the answer is read from: that which agreed best with retraining, and the reference last.

    Methods say themselves which precedence they have; of those that have not failed a self check, if any.

    >>> from lightning_untrac.results.methods import MethodText, describe_method
    >>> describe_method("better", MethodText("Better", precedence=1))
    >>> headline_method(["leave_out", "other", "better"]), headline_method(["leave_out", "other"])
    ('better', 'other')
    """
    order = sorted((m for m in methods if m != reference), key=lambda m: -method_text(m).precedence)
    return next((m for m in order if m not in failed), order[0] if order else methods[0])


def answers(
    matrix: InfluenceMatrix,
    truth: InfluenceMatrix | None = None,
    others: Sequence[InfluenceMatrix] = (),
    intervals: InfluenceIntervals | None = None,
    truth_intervals: InfluenceIntervals | None = None,
    other_intervals: Mapping[str, InfluenceIntervals] | None = None,
) -> list[Sentence]:
    """One sentence or two a test set: which corpus it comes from most, how much, and whether the others agree.

    A method names the corpora that may be the first as far as chance is known (see :func:`candidates`), or none. Two
    methods disagree where they name corpora and have none in common.

    Args:
        matrix: Influences of the headline method.
        truth: Those of retraining, if it was run.
        others: Those of other methods; where one names another corpus there is no clear answer.
        intervals: Those of the headline method, if it has any.
        truth_intervals: Those of retraining.
        other_intervals: Those of the other methods that have any, by method.

    Returns:
        M sentences, in the order of the matrix's columns.
    """
    sentences = []
    for test_set in matrix.test_sets:
        mine = candidates(matrix, intervals, test_set)
        sentence = _answer(matrix, intervals, test_set, mine)
        confirmed, agrees = _confirmed(truth, matrix, test_set, mine, truth_intervals)
        said = _said(others, other_intervals or {}, test_set)
        against = {corpus: methods for corpus, methods in said.items() if not set(corpus) & set(mine)}
        if not mine or len(mine) > 1:  # what the method leaves open, others may know
            sentence = (*sentence, *confirmed, *((" ", *_listed_methods(said), ".") if said else ()))
        elif against and agrees:
            sentence = (*sentence, *confirmed, " Other methods disagree: ", *_listed_methods(against), ".")
        elif against:
            title = method_title(matrix.method)
            sentence = ("No clear answer: ", *_listed_methods(against), f". {title} says: ", *sentence, *confirmed)
        else:
            sentence = (*sentence, *confirmed)
        sentences.append(sentence)
    return sentences


def _said(
    others: Sequence[InfluenceMatrix], intervals: Mapping[str, InfluenceIntervals], test_set: str
) -> dict[tuple[str, ...], list[str]]:
    """Which methods name which corpora, the strongest first."""
    named: dict[tuple[str, ...], list[str]] = {}
    for other in others:
        if test_set in other.test_sets and (found := candidates(other, intervals.get(other.method), test_set)):
            named.setdefault(tuple(found), []).append(method_title(other.method))
    return named


def _listed_methods(named: Mapping[tuple[str, ...], list[str]]) -> Sentence:
    parts: list[Part] = []
    for corpora, methods in named.items():
        say = "says" if len(methods) == 1 else "say"
        parts += [", and " if parts else "", f"{', '.join(methods)} {say} ", *listed(corpora, "or", 4)]
    return tuple(parts)


def _confirmed(
    truth: InfluenceMatrix | None,
    matrix: InfluenceMatrix,
    test_set: str,
    mine: Sequence[str],
    intervals: InfluenceIntervals | None,
) -> tuple[Sentence, bool]:
    """What retraining says, and whether it is the same."""
    if truth is None or truth.method == matrix.method or test_set not in truth.test_sets:
        return (), False
    if reason := why_no_verdict(truth, test_set):
        return (" Retraining gives no verdict, because ", *reason, "."), False
    if intervals is not None and not intervals.tells_apart(test_set):
        return (" Retraining cannot tell the corpora apart.",), False
    found = candidates(truth, intervals, test_set)
    if not found:
        return (" By retraining no corpus stands out.",), False
    first, *rest = found
    if len(mine) == 1 and mine[0] == first:
        return (" Retraining finds the same corpus.",), True
    if len(mine) == 1 and mine[0] in rest:
        return (" Retraining finds ", Name(first), ", which it cannot tell apart from ", Name(mine[0]), "."), False
    instead = " instead" if mine and first not in mine else ""
    return (" Retraining finds ", *listed(found, "or", 4), f"{instead}."), False


def _answer(
    matrix: InfluenceMatrix, intervals: InfluenceIntervals | None, test_set: str, mine: Sequence[str]
) -> Sentence:
    title = method_title(matrix.method)
    if reason := why_no_verdict(matrix, test_set):
        return (Name(test_set), f": no verdict from {title}, because ", *reason, ".")
    column = matrix.test_sets.index(test_set)
    corpus = matrix.strongest()[column]
    row = matrix.corpora.index(corpus)
    value = float(matrix.values[row, column])
    size = f"{format_number(value, signed=False)} {unit_title(matrix.unit)}"
    if value <= 0:
        signed = method_text(matrix.method).signed
        none = " comes from none of the corpora" if signed else ": no corpus is worth more than its place"
        return (Name(test_set), f"{none}: the largest influence is ", Name(corpus), f"'s, {size}.")
    if not mine:
        half = math.nan if intervals is None else float(intervals.half_widths[row, column])
        spread = f" \u00b1 {format_number(half, value, signed=False)}" if math.isfinite(half) else ""
        size = f"{format_number(value, signed=False)}{spread} {unit_title(matrix.unit)}"
        return (
            Name(test_set), f": no corpus stands out by {title}; the largest influence, ", Name(corpus),
            f"'s {size}, is what chance alone could have made.",
        )  # fmt: skip
    if matrix.unit in (NATS_PER_TOKEN, NATS_PER_TOKEN_MEAN_OF_EXAMPLES):
        finding = method_text(matrix.method).finding
        middle = f"{finding} by {size}" if finding else f"its influence on the loss is put at {size}"
        middle += f" (perplexity {perplexity_change(value)})"
    else:
        middle = f"its {title} score is {size}"
    if len(mine) > 1:
        ties = listed(mine, "or", 4)
        return (Name(test_set), " comes most from ", *ties, ", which cannot be told apart. Of ", Name(corpus),
                f": {middle}.")  # fmt: skip
    unknown = intervals is not None and intervals.order_unknown
    caution = (" One seed: another order of batches may say otherwise.",) if unknown else ()
    return (Name(test_set), " comes most from ", Name(corpus), f": {middle}", *_lead(matrix, test_set, value), *caution)


def _lead(matrix: InfluenceMatrix, test_set: str, value: float) -> Sentence:
    second = matrix.runner_up(test_set)
    if second is None:
        return (".",)
    if second[1] <= 0:
        signed = method_text(matrix.method).signed
        return ("; no other corpus helps it.",) if signed else ("; every other is worth less than its place.",)
    ratio = value / second[1]
    if ratio < _CLOSE:
        return (", hardly more than the next, ", Name(second[0]), ".")
    if ratio > _FAR:  # the ratio to something near zero is noise
        return (", far ahead of the next, ", Name(second[0]), ".")
    return (f", {ratio:.1f} times the next, ", Name(second[0]), ".")
