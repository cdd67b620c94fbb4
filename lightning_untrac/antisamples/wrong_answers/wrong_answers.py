"""What a source of wrong answers is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from lightning_untrac.antisamples.generators import Generator
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.registry import Registry


class Fact(NamedTuple):
    """An association that is to be forgotten.

    Attributes:
        name: its group in the dataset, or else its answer.
        questions: that ask for it.
        answer: the right one.
    """

    name: str
    questions: Sequence[str]
    answer: str


class WrongAnswers(ABC):
    """Gives wrong answers to facts. A new source is one new file in ``antisamples/wrong_answers/``, or a class path.

    What gives the right answer too, stands in a question or comes twice is left out afterwards.

    Attributes:
        name: in settings.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new source known."""
        super().__init_subclass__(**kwargs)
        WRONG_ANSWERS.add(cls)

    def problems(self) -> list[str]:
        """What is wrong with the settings, a sentence each, before anything is loaded."""
        return []

    @abstractmethod
    def of(
        self, facts: Sequence[Fact], others: Sequence[tuple[str, str]], generator: Generator, prompts: Prompts
    ) -> list[list[str]]:
        """Wrong answers to each fact, the best first.

        Args:
            facts: to be forgotten.
            others: questions with answers that are to stay, and those of the other facts.
            generator: writes, on every rank alike.
            prompts: its instructions.
        """


WRONG_ANSWERS: Registry[WrongAnswers] = Registry("wrong_answers", "lightning_untrac.antisamples.wrong_answers")
"""All sources by name."""
