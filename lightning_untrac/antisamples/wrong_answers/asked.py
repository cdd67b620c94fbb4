"""Wrong answers that a model thinks of."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.antisamples.generators import Asked, Generator
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.antisamples.wrong_answers.wrong_answers import Fact, WrongAnswers

_NUMBER = re.compile(r"^\s*(?:\d+\s*[.):]|[-*\u2022])\s*")


class AskedFor(WrongAnswers):
    """Ask the generator for other answers (``prompts.other_answers``), a line each or between commas.

    Args:
        longest: most tokens of what it says.
        longest_words: a line of more words is no answer.
    """

    name = "asked"

    def __init__(self, longest: int = 64, longest_words: int = 6) -> None:
        self.longest, self.longest_words = longest, longest_words

    @override
    def of(
        self, facts: Sequence[Fact], others: Sequence[tuple[str, str]], generator: Generator, prompts: Prompts
    ) -> list[list[str]]:
        asked = [
            Asked(
                prompts.other_answers[0].format(question=fact.questions[0], right=fact.answer),
                (zlib.crc32(fact.name.encode()),),
            )
            for fact in facts
        ]
        return [answers_in(one.text, self.longest_words) for one in generator.write(asked, 0.0, self.longest)]


def answers_in(text: str, longest_words: int) -> list[str]:
    r"""The short answers of a list in a text.

    Example:
        >>> answers_in("1. Rome\n2. Madrid.\nThese are all of the cities that I know of.", 6)
        ['Rome', 'Madrid']
        >>> answers_in("Rome, Madrid and Bonn", 6)
        ['Rome', 'Madrid', 'Bonn']
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        lines = re.split(r",|;|\band\b|\bor\b", lines[0])
    found = [_NUMBER.sub("", line).strip(" .,;:\"'") for line in lines]
    return [one for one in dict.fromkeys(found) if one and len(one.split()) <= longest_words]
