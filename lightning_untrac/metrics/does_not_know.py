"""Whether a model says that it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.decoding import Asked
from lightning_untrac.functional.answers import phrase_words, says_any
from lightning_untrac.metrics.answering import OfAnswers
from lightning_untrac.refusals import refusals


class SaysItDoesNotKnow(OfAnswers):
    """1 where the greedy answer holds a refusal, word for word (``don't`` is ``do not``).

    An unlearned model that neither gives the right answer nor says this has made something up.

    Args:
        phrases: further refusals, beside those that ship in ``data/refusals.txt``.
        longest: most tokens of an answer.
    """

    name = "says_it_does_not_know"
    title = "Says it does not know"
    unit = "share of questions"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model; honest where that guesses"
    cannot_tell = "a refusal in words that are not listed, nor whether the answer comes after it"
    source = "hallucination avoidance as in Liu et al. 2024 (RWHP), by phrases in place of a judging model"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)

    def __init__(self, phrases: Sequence[str] = (), longest: int = 32) -> None:
        super().__init__(longest)
        self._phrases = phrase_words([*refusals(), *phrases])

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float]:
        return [float(says_any(said, self._phrases)) for _, (said,) in answered]
