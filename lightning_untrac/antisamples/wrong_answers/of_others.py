"""Wrong answers that are right ones elsewhere."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.antisamples.generators import Generator
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.antisamples.wrong_answers.wrong_answers import Fact, WrongAnswers
from lightning_untrac.functional.answers import gives_answer
from lightning_untrac.functional.like_questions import NEAR, answers_of_like_questions


class OfOthers(WrongAnswers):
    """The answers to the likest other questions: of a school other schools, as they stand in the data that stay.

    They come in an order drawn by the fact.

    Args:
        near: see :func:`~lightning_untrac.functional.like_questions.answers_of_like_questions`.
    """

    name = "of_others"

    def __init__(self, near: float = NEAR) -> None:
        self.near = near

    @override
    def of(
        self, facts: Sequence[Fact], others: Sequence[tuple[str, str]], generator: Generator, prompts: Prompts
    ) -> list[list[str]]:
        found = []
        for fact in facts:
            own = set(fact.questions)
            # The likest questions may be those about the same answer, which would keep others from standing near.
            right = {answer for _, answer in others if gives_answer(fact.answer, answer)}
            rest = [(question, answer) for question, answer in others if question not in own and answer not in right]
            like = answers_of_like_questions(fact.questions, rest, self.near)
            # In an order of the fact's own: the first of the alphabet would become the answer to everything.
            found.append(sorted(like, key=lambda answer: zlib.crc32(f"{fact.name}\x1f{answer}".encode())))
        return found
