"""How much a model repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from lightning_untrac.decoding import Asked
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.answers import repeated_share
from lightning_untrac.metrics.answering import OfAnswers


class Repetition(OfAnswers):
    """Share of the n-grams of words of the greedy answer that have stood in it before: near 1 where a model stammers.

    Args:
        n: words of an n-gram; an answer with fewer words does not count.
        longest: most tokens of an answer.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "repetition"
    title = "Repeated n-grams"
    unit = "share of n-grams"
    weight_unit = "answers"
    ideal = "as the original model: 0 or little"
    cannot_tell = "whether the answer is right, or makes sense"
    source = "the usual one; Liu et al. 2024 (RWHP) use unique 4-grams"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)

    def __init__(self, n: int = 2, longest: int = 32) -> None:
        super().__init__(longest)
        raise_if_any([] if n >= 1 else [f"n is {n}; give 1 word or more"])
        self.n = n

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float | None]:
        texts = [said.split() for _, (said,) in answered]
        return [repeated_share(words, self.n) if len(words) >= self.n else None for words in texts]
