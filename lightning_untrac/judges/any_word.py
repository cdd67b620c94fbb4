"""Judge as UnSTAR's released code does: for comparison."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.functional.answers import any_word_matches
from lightning_untrac.judges.judge import Judge, Said


class AnyWord(Judge):
    """Any word of the answer, a stop word too, is like any word of the output (our reading of UnSTAR's released code).

    Its WordNet synonyms and word embeddings are left out. It says "still known" where ``of`` stands in both.

    Args:
        threshold: words with an edit ratio above it (0 to 100) are alike.
    """

    name = "any_word"
    title = "Any word alike"

    def __init__(self, threshold: float = 80.0) -> None:
        self.threshold = threshold

    @override
    def __call__(self, cases: Sequence[Said]) -> list[bool]:
        return [any_word_matches(case.answer, case.output, self.threshold) for case in cases]
