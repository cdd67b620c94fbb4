"""What a measure is that reads what a model says to questions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.judges import Judge, Said
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Asked, Decoding, MeasureNeed, Outputs

AskedJudge = str | Mapping[str, Any] | Judge
"""A judge by its name, with settings, or as it is."""


class OfAnswers(Measure):
    """One number of each question from the model's answers to it; examples without a prompt count nowhere.

    Args:
        longest: most tokens of an answer.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    weight_unit = "questions"
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"answers"})
    decoding: Decoding

    def __init__(self, longest: int = 32) -> None:
        raise_if_any([] if longest >= 1 else [f"longest is {longest}; give 1 token or more"])
        self.decoding = Decoding(longest)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        said = seen.said[self.decoding]
        rows = [row for row, asked in enumerate(seen.asked) if asked is not None]
        numbers = self.of_questions([(seen.asked[row], said[row]) for row in rows])  # type: ignore[misc]
        value = torch.full((len(seen.asked),), torch.nan, dtype=torch.float64)
        for row, number in zip(rows, numbers, strict=True):
            value[row] = torch.nan if number is None else number
        return Measured(value.nan_to_num(), (~value.isnan()).double())

    @abstractmethod
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> Sequence[float | None]:
        """A number for each question; None where there is nothing to say.

        Args:
            answered: questions, and the model's answers to each.
        """


def gives(judge: Judge, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[list[bool]]:
    """Which answers to each question give the right one; all are judged at once.

    Args:
        judge: decides.
        answered: questions, and the model's answers to each.
    """
    cases = [Said(asked.answer, one, asked.question) for asked, answers in answered for one in answers]
    judged = iter(judge(cases))
    return [[next(judged) for _ in answers] for _, answers in answered]
