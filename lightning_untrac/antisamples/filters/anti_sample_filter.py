"""What a filter of anti-samples is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from lightning_untrac.judges import Judge
from lightning_untrac.registry import Registry


class Candidate(NamedTuple):
    """A text that may become an anti-sample, or the rehearsal of a right answer.

    Attributes:
        question: that it answers.
        answer: the one that it has to give: a wrong one, or the right one of a rehearsal.
        right: the right answer, which must not be given; empty in a rehearsal.
        text: answer and reason.
    """

    question: str
    answer: str
    right: str
    text: str


class AntiSampleFilter(ABC):
    """Says why texts are no anti-samples. A new filter is one new file in ``antisamples/filters/``, or a class path.

    Attributes:
        name: in settings.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new filter known."""
        super().__init_subclass__(**kwargs)
        FILTERS.add(cls)

    @abstractmethod
    def why_not(self, candidate: Candidate, judge: Judge, taken: Sequence[str]) -> str | None:
        """Why a text is not taken, in a word or two that stand in the ledger; None where it is.

        Args:
            candidate: the text.
            judge: says whether a text gives an answer.
            taken: texts that were taken for the same question in this round.
        """


FILTERS: Registry[AntiSampleFilter] = Registry("filter", "lightning_untrac.antisamples.filters")
"""All filters by name."""
