"""Wrong answers from a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from typing_extensions import override

from lightning_untrac.antisamples.generators import Generator
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.antisamples.wrong_answers.wrong_answers import Fact, WrongAnswers
from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.json_setting import from_json


class Listed(WrongAnswers):
    """Those that you give.

    Args:
        answers: fact (its group, or its right answer) to wrong ones; a list for all facts; or a JSON file with either.

    Example:
        >>> Listed({"Paris": ["Rome"]}).of([Fact("France", ["Capital of France?"], "Paris")], [], None, Prompts())
        [['Rome']]
    """

    name = "listed"

    def __init__(self, answers: Mapping[str, Sequence[str]] | Sequence[str] | str) -> None:
        self.given = answers

    @cached_property
    def answers(self) -> Any:
        """A mapping of facts to answers, or a list for all."""
        found = from_json(self.given, "wrong_answers")
        if not isinstance(found, Mapping | list | tuple):
            raise ConfigurationError(
                [f"wrong_answers: got {found!r}; give a mapping of facts to wrong answers, or a list of these"]
            )
        return found

    @override
    def problems(self) -> list[str]:
        return problems_of(lambda: self.answers)

    @override
    def of(
        self, facts: Sequence[Fact], others: Sequence[tuple[str, str]], generator: Generator, prompts: Prompts
    ) -> list[list[str]]:
        return [self._of(fact) for fact in facts]

    def _of(self, fact: Fact) -> list[str]:
        if not isinstance(self.answers, Mapping):
            return list(self.answers)
        found = self.answers.get(fact.name, self.answers.get(fact.answer, []))
        return [found] if isinstance(found, str) else list(found)
