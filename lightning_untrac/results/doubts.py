"""Every reason in a run's tables to doubt what they say, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightning_untrac.results.chance import candidates
from lightning_untrac.results.comparison_notes import comparison_notes
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import REFERENCE, method_title
from lightning_untrac.results.self_check import self_check, self_check_sentence, without_self_sets
from lightning_untrac.results.sentence import Name, Sentence, listed
from lightning_untrac.results.soundness import hardly_learned

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.results.uncertainty import InfluenceIntervals


def doubts(
    matrices: Sequence[InfluenceMatrix],
    reference: str = REFERENCE,
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
        found += [("warning", note) for name in matrix.test_sets if (note := hardly_learned(matrix, name))]
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
    single = [method_title(method) for method, its in intervals.items() if its.order_unknown]
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
    if told := [method_title(method) for method, its in intervals.items() if its.from_steps]:
        by_steps = (
            f"{', '.join(told)}: what the order of batches does is told from the steps of one seed, which makes wide "
            "intervals; two seeds make narrower ones (--seeds '[0,1]')."
        )
        found.append(("info", (by_steps,)))
    without = [method_title(m.method) for m in matrices if m.method not in intervals]
    if without:
        found.append(("info", (f"No intervals for {', '.join(without)}: how much chance moves them is not known.",)))
    found += _disagreements([without_self_sets(matrix) for matrix in matrices], intervals)
    if all(matrix.method != reference for matrix in matrices):
        found.append(("info", ("No retraining was run, so that nothing here is checked against the truth.",)))
    for remark in [] if comparison is None else comparison_notes(comparison):
        found.append(("info", (f"Comparison with retraining: {remark}",)))
    return sorted(found, key=lambda pair: ("error", "warning", "info").index(pair[0]))


def _flagged(matrix: InfluenceMatrix) -> list[tuple[str, Sentence]]:
    meanings = {
        "nonfinite": ("error", "gave losses that are not finite"),
        "collapsed": ("warning", "made the model collapse: such influences are those of a broken model"),
        "broken": ("warning", "raised the loss above that of a uniform guess: the model is broken there"),
        "missing": ("warning", "were not read"),
    }
    found: list[tuple[str, Sentence]] = []
    for flag, (level, meaning) in meanings.items():
        at = np.argwhere(matrix.flags == flag)
        if not len(at):
            continue
        names = list(dict.fromkeys(matrix.corpora[i] for i, _ in at))
        start = f"{method_title(matrix.method)}: {len(at)} of {matrix.flags.size} cells {meaning} ("
        found.append((level, (start, *listed(names, at_most=8), ").")))
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


def _disagreements(
    matrices: Sequence[InfluenceMatrix], intervals: Mapping[str, InfluenceIntervals]
) -> list[tuple[str, Sentence]]:
    """Test sets for which no corpus may be the first by all methods; what chance leaves open is no disagreement."""
    found: list[tuple[str, Sentence]] = []
    for test_set in dict.fromkeys(t for matrix in matrices for t in matrix.test_sets):
        named: dict[str, list[str]] = {}
        possible: list[set[str]] = []
        for matrix in matrices:
            if test_set in matrix.test_sets and (corpora := candidates(matrix, intervals.get(matrix.method), test_set)):
                named.setdefault(corpora[0], []).append(method_title(matrix.method))
                possible.append(set(corpora))
        if possible and not set.intersection(*possible):
            parts: list[str | Name] = []
            for corpus, methods in named.items():
                parts += [", " if parts else "", Name(corpus), f" ({', '.join(methods)})"]
            found.append(("warning", ("The methods disagree on where ", Name(test_set), " comes from: ", *parts, ".")))
    return found
