"""The default filter: the wrong answer is there, the right one is not, and it is a text about the question."""

from __future__ import annotations

import re
from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.antisamples.filters.anti_sample_filter import AntiSampleFilter, Candidate
from lightning_untrac.functional.answers import phrase_words, says_any
from lightning_untrac.functional.words import words
from lightning_untrac.judges import Judge, Said
from lightning_untrac.refusals import refusals


class Checks(AntiSampleFilter):
    """Check a text by words, in this order; the first that fails is what the ledger says.

    ``gives the right answer`` (by the judge, or to the letter as in UnSTAR's released code), ``wrong answer missing``
    (by the judge), ``refuses`` (a phrase of ``data/refusals.txt``), ``too short`` or ``too long``, ``off the
    question`` (too few of its content words), ``repeats another`` (rapidfuzz' ratio to one that was taken).

    The released code has the first check alone. The others are our reading of what the paper's quality control needs.
    The loop takes one text for a question in a round, so that there none repeats another.

    Args:
        fewest_words: of a text.
        most_words: of a text.
        closeness: share of the question's content words that must stand in the text.
        likeness: ratio (0 to 100) from which on a text repeats another one of the same question.
    """

    name = "checks"

    def __init__(
        self, fewest_words: int = 1, most_words: int = 120, closeness: float = 0.1, likeness: float = 90.0
    ) -> None:
        self.fewest_words, self.most_words = fewest_words, most_words
        self.closeness, self.likeness = closeness, likeness
        self._refusals = phrase_words(refusals())

    @override
    def why_not(self, candidate: Candidate, judge: Judge, taken: Sequence[str]) -> str | None:
        text, right = candidate.text, candidate.right
        if right:
            gives = judge([Said(right, text, candidate.question)])[0]
            if gives or _stands_in(right, text):
                return "gives the right answer"
        if not judge([Said(candidate.answer, text, candidate.question)])[0]:
            return "wrong answer missing" if right else "right answer missing"
        if says_any(text, self._refusals):
            return "refuses"
        count = len(text.split())
        if count < self.fewest_words:
            return "too short"
        if count > self.most_words:
            return "too long"
        if _shared(candidate.question, text) < self.closeness:
            return "off the question"
        return "repeats another" if _repeats(text, taken, self.likeness) else None


def _stands_in(answer: str, text: str) -> bool:
    """Whether an answer stands in a text to the letter, and not as a part of a longer word."""
    return re.search(rf"(?<!\w){re.escape(answer.casefold())}(?!\w)", text.casefold()) is not None


def _shared(question: str, text: str) -> float:
    """Share of a question's content words that stand in a text; 1 where it has none."""
    asked = {word.text for word in words(question) if not word.stops}
    said = {word.text for word in words(text)}
    return len(asked & said) / len(asked) if asked else 1.0


def _repeats(text: str, taken: Sequence[str], likeness: float) -> bool:
    from rapidfuzz import fuzz

    return any(fuzz.ratio(text, other) >= likeness for other in taken)
