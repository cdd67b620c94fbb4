"""What a measure is that reads what a model says to questions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.decoding import PLAIN, Asked, Decoding
from lightning_untrac.errors import raise_if_any
from lightning_untrac.judges import Judge, Said
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs
from lightning_untrac.results.measures import MeasureText, describe_measure

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


def checked_formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Formats in which each question is asked.

    Args:
        formats: one or more templates with ``{prompt}``.

    Raises:
        ConfigurationError: if there is none, one is given twice, or one doesn't say where the question stands.

    Example:
        >>> checked_formats("Question: {prompt}")
        ('Question: {prompt}',)
    """
    found = (formats,) if isinstance(formats, str) else tuple(formats)
    problems = [] if found else [f"formats: none given; give {[PLAIN]} for the questions as they are"]
    problems += [
        f"formats: {one!r} doesn't say once where the question stands; write {PLAIN} there"
        for one in dict.fromkeys(found)
        if not isinstance(one, str) or one.count(PLAIN) != 1
    ]
    problems += [f"formats: {one!r} is given twice; give each once" for one in {*found} if found.count(one) > 1]
    raise_if_any(problems)
    return found


def name_after_formats(measure: OfAnswers) -> None:
    """Give a measure of several formats a name of its own in the tables.

    Args:
        measure: with its decoding.
    """
    if (count := len(measure.decoding.formats)) > 1:
        measure.title = f"{measure.title} in the worst of {count} formats"  # type: ignore[misc]
        measure.name = f"{measure.name}_in_{count}_formats"  # type: ignore[misc]
        describe_measure(measure.name, MeasureText.of(measure, measure.title))


def gives(judge: Judge, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[list[bool]]:
    """Which answers to each question give the right one; all are judged at once.

    Args:
        judge: decides.
        answered: questions, and the model's answers to each.
    """
    cases = [Said(asked.answer, one, asked.question) for asked, answers in answered for one in answers]
    judged = iter(judge(cases))
    return [[next(judged) for _ in answers] for _, answers in answered]
