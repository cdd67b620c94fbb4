"""Answers to questions of the same kind, found by the words of the questions alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from lightning_untrac.functional.words import names, words

NEAR: Final = 5.0
"""Answers count as of one kind down to so many points below the likest one (of 100)."""


def answers_of_like_questions(
    questions: Sequence[str], others: Sequence[tuple[str, str]], near: float = NEAR
) -> list[str]:
    """Answers to the questions that are likest to some, likest first.

    ``Where did Ann study?`` is liker to ``Where did Bob study?`` than to ``Where was Ann born?``, so that a school is
    exchanged for a school. The likeness is rapidfuzz's ratio of sorted words, with one sign for every name; of an
    answer the mean over the wordings of the likest of its questions.

    Args:
        questions: wordings of one question.
        others: other questions with their answers.
        near: how far an answer may lie below the likest one, in points of 100.

    Returns:
        Each answer once.

    Example:
        >>> others = [("Where was Ann born?", "Kiel"), ("Where did Bo study?", "Oakham"), ("Bo, Cy: where?", "Elm")]
        >>> answers_of_like_questions(["Where did Ann study?"], others)
        ['Oakham']
    """
    from rapidfuzz import fuzz, process

    if not questions or not others:
        return []
    every = [*questions, *(question for question, _ in others)]
    named = set().union(*map(names, every))
    kinds = [_kind(question, named) for question in every]
    likeness = process.cdist(kinds[: len(questions)], kinds[len(questions) :], scorer=fuzz.token_sort_ratio)
    rows: dict[str, list[int]] = {}
    for row, (_, answer) in enumerate(others):
        rows.setdefault(answer, []).append(row)
    mean = {answer: float(likeness[:, mine].max(axis=1).mean()) for answer, mine in rows.items()}
    highest = max(mean.values())
    return sorted((one for one in mean if mean[one] >= highest - near), key=lambda one: (-mean[one], one))


def _kind(question: str, named: set[str]) -> str:
    """A question with one sign for names that stand side by side."""
    return " ".join(one for one, _ in groupby("*" if word.text in named else word.text for word in words(question)))
