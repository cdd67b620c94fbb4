"""A check that needs no truth: of a part of a corpus, that corpus must be the most influential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lightning_untrac.naming import SELF_PREFIX, self_name
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_text, method_title

SOUND: Final = 0.85
"""Mean self-correlation below which influences are not to be trusted. On four models of benchmarks/RESULTS.md UnTrac's
mean Pearson with retraining was within .05 of its best wherever this was above, and fell to .1 where it was far
below."""


def self_sets(corpora: Sequence[str], test_sets: Sequence[str]) -> list[str]:
    """Which of the test sets are parts of a corpus.

    >>> self_sets(["forum", "news"], ["toxicity", "self_forum", "self_portraits"])
    ['self_forum']
    """
    names = set(map(self_name, corpora))
    return [test_set for test_set in test_sets if test_set in names]


def without_self_sets(matrix: InfluenceMatrix) -> InfluenceMatrix:
    """The influences on what was asked about; all of them where nothing else is there."""
    own = set(self_sets(matrix.corpora, matrix.test_sets))
    asked = [test_set for test_set in matrix.test_sets if test_set not in own]
    return matrix.select(matrix.corpora, asked) if asked and own else matrix


@dataclass(frozen=True)
class SelfCheck:
    """How well a method finds a corpus in a part of itself.

    Attributes:
        num_parts: parts of corpora that were read.
        num_first: how many of them have their own corpus first.
        correlation: mean over parts of the Pearson correlation between the influences of all corpora and 1 for the
            own corpus, 0 for the others; NaN with fewer than three corpora.
        wrong: parts whose own corpus is not first, and which is.
    """

    num_parts: int
    num_first: int
    correlation: float
    wrong: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether the influences may be trusted as far as this can tell."""
        return self.num_first == self.num_parts and not self.correlation < SOUND


def self_check(matrix: InfluenceMatrix) -> SelfCheck | None:
    """Look at the columns of a matrix that are parts of its corpora.

    Cells that are flagged count as no influence at all, and a part that allows no verdict is not found; nor is another
    corpus named for it.

    Args:
        matrix: With test sets that are named after corpora (:func:`self_name`).

    Returns:
        The check; None where there are no such test sets, or only one corpus.
    """
    names = self_sets(matrix.corpora, matrix.test_sets)
    if not names or len(matrix.corpora) < 2:
        return None
    correlations, wrong = [], []
    for name in names:
        column = matrix.test_sets.index(name)
        values = np.where(matrix.usable[:, column], matrix.values[:, column], 0.0)
        own = matrix.corpora.index(name.removeprefix(SELF_PREFIX))
        first = matrix.strongest()[column]
        if first != matrix.corpora[own] or not values[own] > 0:
            wrong.append((name, first or matrix.corpora[own]))
        if len(values) > 2:
            alike = np.arange(len(values)) == own
            correlations.append(float(np.corrcoef(values, alike)[0, 1]) if np.ptp(values) > 0 else 0.0)
    mean = float(np.mean(correlations)) if correlations else float("nan")
    return SelfCheck(len(names), len(names) - len(wrong), mean, tuple(wrong))


def self_check_sentence(check: SelfCheck, method: str) -> str:
    """The outcome in words.

    Args:
        check: Of a method.
        method: Its name in the tables.
    """
    found = (
        f"{method_title(method)}: of {check.num_parts} parts of corpora, {check.num_first} have their own corpus first"
    )
    if not np.isnan(check.correlation):
        found += f" (mean correlation {check.correlation:.2f})"
    if check.passed:
        return f"{found}: it finds what is known."
    mistaken = [f"{corpus} for {part}" for part, corpus in check.wrong if part != self_name(corpus)]
    named = f"; it names {', '.join(mistaken[:4])}" if mistaken else ""
    advice = f"; {text}" if (text := method_text(method).if_wrong) else ""
    return f"{found}{named}: it does not find what is known, so do not trust what it says of the rest{advice}"
