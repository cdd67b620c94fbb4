"""How much of what a model says is new."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.decoding import Asked
from lightning_untrac.functional.answers import repeated_share
from lightning_untrac.metrics.answering import OfAnswers

N = 4
"""Words of a stretch."""


class Unique4grams(OfAnswers):
    """Share of different ones among the stretches of four words of the greedy answer; shorter answers do not count.

    Args:
        longest: most tokens of an answer.
    """

    name = "unique_4grams"
    title = "Unique 4-grams"
    unit = "share of 4-grams"
    weight_unit = "answers"
    ideal = "as the original model: 1 or nearly"
    cannot_tell = "whether the answer is right, or makes sense; a short answer has none"
    source = "response quality in Liu et al. 2024 (RWHP)"
    bounds = (0.0, 1.0)

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float | None]:
        texts = [said.split() for _, (said,) in answered]
        return [1 - repeated_share(words, N) if len(words) >= N else None for words in texts]
