"""Judge by words: the default, which needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.answers import gives_answer
from lightning_untrac.functional.words import words
from lightning_untrac.json_setting import from_json
from lightning_untrac.judges.judge import Judge, Said

Synonyms = Mapping[str, Sequence[str]]


class Lexical(Judge):
    """The whole answer stands in the output: without case and marks, numbers normalised, misspellings forgiven.

    The rule stands in :mod:`lightning_untrac.functional.answers`. It reads English numbers, plurals and denials, takes
    a capital beside a name for another's name, and knows no meanings: an answer in other words needs ``synonyms``.

    Args:
        synonyms: answer to other wordings of it, or a JSON file with such a mapping. A wording is compared with
            answers without case and marks.

    Raises:
        ConfigurationError: if ``synonyms`` is no such mapping or file.
    """

    name = "lexical"
    title = "By words"

    def __init__(self, synonyms: Synonyms | str | None = None) -> None:
        self.synonyms = {_key(answer): list(others) for answer, others in _read(synonyms).items()}

    @override
    def __call__(self, cases: Sequence[Said]) -> list[bool]:
        return [gives_answer(case.answer, case.output, self.synonyms.get(_key(case.answer), ())) for case in cases]


def _key(answer: str) -> str:
    return " ".join(word.text for word in words(answer))


def _read(synonyms: Synonyms | str | None) -> Synonyms:
    found: Synonyms = from_json(synonyms or {}, "synonyms")
    if not isinstance(found, Mapping) or not all(
        isinstance(others, Sequence) and not isinstance(others, str) and all(isinstance(one, str) for one in others)
        for others in found.values()
    ):
        raise ConfigurationError(
            [f"synonyms: got {synonyms!r}; give a mapping of an answer to a list of other wordings"]
        )
    return found
