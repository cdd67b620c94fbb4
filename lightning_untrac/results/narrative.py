"""What a run's tables say, in sentences: the answer for each test set, and every reason to doubt it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.schema import NATS_PER_TOKEN, NATS_PER_TOKEN_MEAN_OF_EXAMPLES
from lightning_untrac.results.self_check import self_check, self_check_sentence, without_self_sets
from lightning_untrac.results.style import format_number, perplexity_change, unit_title

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.results.uncertainty import InfluenceIntervals

_ACTIONS: Final = {
    "untrac": "unlearning it raises the loss",
    "untrac_inv": "unlearning the test set raises the loss on it",
    "leave_out": "retraining without it raises the loss",
    "continuation": "going on without it raises the loss",
}
_CLOSE: Final = 1.1
#: Above this ratio the next is near zero and the ratio says nothing.
_FAR: Final = 5.0


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the user's inside a sentence: to be set apart, and never to be taken for markup."""

    text: str


Sentence = tuple[str | Name, ...]


def plain(sentence: Sentence) -> str:
    """A sentence as text, with names in backticks.

    >>> plain(("It is ", Name("forum"), "."))
    'It is `forum`.'
    """
    return "".join(f"`{part.text}`" if isinstance(part, Name) else part for part in sentence)


def headline_method(methods: Sequence[str], reference: str = "leave_out", failed: Collection[str] = ()) -> str:
    """The method whose matrix the answer is read from: that which agreed best with retraining, and the reference last.

    Leave-out continuation, then UnTrac, UnTrac-Inv, any other; of those that have not failed a self check, if any.

    >>> headline_method(["leave_out", "graddot", "untrac_inv"])
    'untrac_inv'
    """
    order = [m for m in ("continuation", "untrac", "untrac_inv") if m in methods]
    order += [m for m in methods if m not in (*order, reference)]
    return next((m for m in order if m not in failed), order[0] if order else methods[0])


def answers(
    matrix: InfluenceMatrix,
    truth: InfluenceMatrix | None = None,
    others: Sequence[InfluenceMatrix] = (),
    intervals: InfluenceIntervals | None = None,
    truth_intervals: InfluenceIntervals | None = None,
) -> list[Sentence]:
    """One sentence or two a test set: which corpus it comes from most, how much, and whether the others agree.

    Args:
        matrix: Influences of the headline method.
        truth: Those of retraining, if it was run.
        others: Those of other methods; where one names another corpus there is no clear answer.
        intervals: Those of the headline method, if it has any.
        truth_intervals: Those of retraining.

    Returns:
        M sentences, in the order of the matrix's columns.
    """
    sentences = []
    for column, (test_set, corpus) in enumerate(zip(matrix.test_sets, matrix.strongest(), strict=True)):
        sentence = _answer(matrix, column, test_set, corpus)
        if intervals is not None and corpus in intervals.near_zero(test_set):
            sentence = (*sentence, " Chance alone could have made that.")
        elif intervals is not None and (rivals := [n for n in intervals.leaders(test_set) if n != corpus]):
            names = [part for rival in rivals[:4] for part in (", ", Name(rival))][1:]
            more = f" and {len(rivals) - 4} more" if len(rivals) > 4 else ""
            sentence = (*sentence, " By chance alone it could be ", *names, f"{more} as well.")
        confirmed = _confirmed(truth, matrix, test_set, corpus, truth_intervals)
        against = _against(others, test_set, corpus)
        if against and confirmed == (" Retraining finds the same corpus.",):
            sentence = (*sentence, *confirmed, " Other methods disagree: ", *against, ".")
        elif against:
            sentence = ("No clear answer: ", *against, f". {method_title(matrix.method)} says: ", *sentence, *confirmed)
        else:
            sentence = (*sentence, *confirmed)
        sentences.append(sentence)
    return sentences


def _against(others: Sequence[InfluenceMatrix], test_set: str, corpus: str) -> Sentence:
    """Which methods name which other corpus."""
    named: dict[str, list[str]] = {}
    for other in others:
        found = other.strongest()[other.test_sets.index(test_set)] if test_set in other.test_sets else ""
        if found and corpus and found != corpus:
            named.setdefault(found, []).append(method_title(other.method))
    parts: list[str | Name] = []
    for found, methods in named.items():
        say = "says" if len(methods) == 1 else "say"
        parts += [", and " if parts else "", f"{', '.join(methods)} {say} ", Name(found)]
    return tuple(parts)


def _confirmed(
    truth: InfluenceMatrix | None,
    matrix: InfluenceMatrix,
    test_set: str,
    corpus: str,
    truth_intervals: InfluenceIntervals | None,
) -> Sentence:
    if truth is None or truth.method == matrix.method or test_set not in truth.test_sets:
        return ()
    if truth_intervals is not None and not truth_intervals.tells_apart(test_set):
        return (" Retraining cannot tell the corpora apart.",)
    found = truth.strongest()[truth.test_sets.index(test_set)]
    if found == corpus:
        return (" Retraining finds the same corpus.",)
    return (" Retraining finds ", Name(found), " instead.") if found else ()


def _answer(matrix: InfluenceMatrix, column: int, test_set: str, corpus: str) -> Sentence:
    if not corpus or not matrix.usable[:, column].any():
        return (Name(test_set), ": no reading can be trusted, because every one is flagged.")
    value = float(matrix.values[matrix.corpora.index(corpus), column])
    size = f"{format_number(value, signed=False)} {unit_title(matrix.unit)}"
    if value <= 0:
        return (
            *(Name(test_set), " comes from none of the corpora: the largest influence is ", Name(corpus), "'s, "),
            f"{size}.",
        )
    if matrix.unit in (NATS_PER_TOKEN, NATS_PER_TOKEN_MEAN_OF_EXAMPLES):
        action = _ACTIONS.get(matrix.method, "its influence on the loss is put")
        middle = f": {action} {'at' if matrix.method not in _ACTIONS else 'by'} {size}"
        middle += f" (perplexity {perplexity_change(value)})"
    else:
        middle = f": its {method_title(matrix.method)} score is {size}"
    return (Name(test_set), " comes most from ", Name(corpus), middle, *_lead(matrix, test_set, value))


def _lead(matrix: InfluenceMatrix, test_set: str, value: float) -> Sentence:
    second = matrix.runner_up(test_set)
    if second is None:
        return (".",)
    if second[1] <= 0:
        return ("; no other corpus helps it.",)
    ratio = value / second[1]
    if ratio < _CLOSE:
        return (", hardly more than the next, ", Name(second[0]), ".")
    if ratio > _FAR:  # the ratio to something near zero is noise
        return (", far ahead of the next, ", Name(second[0]), ".")
    return (f", {ratio:.1f} times the next, ", Name(second[0]), ".")


def doubts(
    matrices: Sequence[InfluenceMatrix],
    reference: str = "leave_out",
    comparison: pa.Table | None = None,
    intervals: Mapping[str, InfluenceIntervals] | None = None,
) -> list[tuple[str, Sentence]]:
    """Everything in the tables that speaks against taking the numbers at face value.

    Args:
        matrices: One a method.
        reference: The method that counts as truth.
        comparison: Rows of ``COMPARISON_SCHEMA``, if there are any.
        intervals: By method, of those that have any.

    Returns:
        Pairs of level (``"error"``, ``"warning"`` or ``"info"``) and sentence, the worst first.
    """
    found: list[tuple[str, Sentence]] = []
    intervals = intervals or {}
    for matrix in matrices:
        found += _flagged(matrix)
        if matrix.method not in intervals:
            found += _within_noise(without_self_sets(matrix))
        if (check := self_check(matrix)) is not None:
            level = "info" if check.passed else "warning"
            found.append((level, (self_check_sentence(check, matrix.method),)))
        if matrix.num_seeds > 1 and (np.nan_to_num(matrix.std) == 0).all():
            what = (
                f"{method_title(matrix.method)}: the seeds make no difference, because every batch is a whole dataset."
            )
            found.append(("info", (what,)))
    single = [method_title(m.method) for m in matrices if m.num_seeds == 1 and m.method in intervals]
    if single:
        found.append(
            (
                "warning",
                (
                    f"One seed only for {', '.join(single)}: the intervals know what the choice of examples does, and "
                    "not what the order of batches does.",
                ),
            )
        )
    without = [method_title(m.method) for m in matrices if m.method not in intervals]
    if without:
        found.append(("info", (f"No intervals for {', '.join(without)}: how much chance moves them is not known.",)))
    found += _disagreements([without_self_sets(matrix) for matrix in matrices])
    if all(matrix.method != reference for matrix in matrices):
        found.append(("info", ("No retraining was run, so that nothing here is checked against the truth.",)))
    for note in _notes(comparison):
        found.append(("info", (f"Comparison with retraining: {note}",)))
    return sorted(found, key=lambda pair: ("error", "warning", "info").index(pair[0]))


def _notes(comparison: pa.Table | None) -> list[str]:
    from lightning_untrac.results.comparison import comparison_notes

    return [] if comparison is None else comparison_notes(comparison)


def _flagged(matrix: InfluenceMatrix) -> list[tuple[str, Sentence]]:
    meanings = {
        "nonfinite": ("error", "gave losses that are not finite"),
        "collapsed": ("warning", "made the model collapse: such influences are those of a broken model"),
        "missing": ("warning", "were not read"),
    }
    found: list[tuple[str, Sentence]] = []
    for flag, (level, meaning) in meanings.items():
        at = np.argwhere(matrix.flags == flag)
        if not len(at):
            continue
        names = dict.fromkeys(matrix.corpora[i] for i, _ in at)
        listed: list[str | Name] = []
        for name in list(names)[:8]:
            listed += [", " if listed else "", Name(name)]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        start = f"{method_title(matrix.method)}: {len(at)} of {matrix.flags.size} cells {meaning} ("
        found.append((level, (start, *listed, f"{more}).")))
    return found


def _within_noise(matrix: InfluenceMatrix) -> list[tuple[str, Sentence]]:
    found: list[tuple[str, Sentence]] = []
    for column, (test_set, corpus) in enumerate(zip(matrix.test_sets, matrix.strongest(), strict=True)):
        second = matrix.runner_up(test_set)
        if not corpus or second is None:
            continue
        first, other = matrix.corpora.index(corpus), matrix.corpora.index(second[0])
        noise = math.hypot(float(matrix.std[first, column]), float(matrix.std[other, column]))
        if float(matrix.values[first, column]) - second[1] < noise:
            found.append(
                (
                    "warning",
                    (
                        *(
                            f"{method_title(matrix.method)}, ",
                            Name(test_set),
                            ": ",
                            Name(corpus),
                            " and ",
                            Name(second[0]),
                        ),
                        " differ by less than the seeds do.",
                    ),
                )
            )
    return found


def _disagreements(matrices: Sequence[InfluenceMatrix]) -> list[tuple[str, Sentence]]:
    found: list[tuple[str, Sentence]] = []
    for test_set in dict.fromkeys(t for matrix in matrices for t in matrix.test_sets):
        named: dict[str, list[str]] = {}
        for matrix in matrices:
            if test_set in matrix.test_sets and (corpus := matrix.strongest()[matrix.test_sets.index(test_set)]):
                named.setdefault(corpus, []).append(method_title(matrix.method))
        if len(named) > 1:
            parts: list[str | Name] = []
            for corpus, methods in named.items():
                parts += [", " if parts else "", Name(corpus), f" ({', '.join(methods)})"]
            found.append(("warning", ("The methods disagree on where ", Name(test_set), " comes from: ", *parts, ".")))
    return found
