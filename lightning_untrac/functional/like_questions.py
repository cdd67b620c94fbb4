"""Answers to questions of the same kind, found by the words of the questions alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

NEAR: Final = 10.0
"""Questions count as of one kind down to so many points below the likest one (of 100)."""


def answers_of_like_questions(
    questions: Sequence[str], others: Sequence[tuple[str, str]], near: float = NEAR
) -> list[str]:
    """Answers to the questions that are likest to some, likest first.

    ``Where did Ann study?`` is liker to ``Where did Bob study?`` than to ``Where was Bob born?``, so that a school is
    exchanged for a school. The likeness is rapidfuzz's ratio of sorted words.

    Args:
        questions: wordings of one question.
        others: other questions with their answers.
        near: how far an answer's likest question may lie below the likest of all, in points of 100.

    Returns:
        Each answer once.

    Example:
        >>> others = [("Where was Bo born?", "Kiel"), ("Where did Bo study?", "Oakham"), ("Where did Cy study?", "Elm")]
        >>> sorted(answers_of_like_questions(["Where did Ann study?"], others))
        ['Elm', 'Oakham']
    """
    from rapidfuzz import fuzz, process

    if not questions or not others:
        return []
    asked = [question.casefold() for question in questions]
    likeness = process.cdist(asked, [question.casefold() for question, _ in others], scorer=fuzz.token_sort_ratio)
    best: dict[str, float] = {}
    for (_, answer), value in zip(others, np.asarray(likeness).max(axis=0).tolist(), strict=True):
        best[answer] = max(best.get(answer, 0.0), value)
    highest = max(best.values())
    return sorted((one for one in best if best[one] >= highest - near), key=lambda one: (-best[one], one))
