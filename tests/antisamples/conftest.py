"""A model that is a table: it answers what it is told to know, and unlearns what it is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lightning_untrac.antisamples.asking import Asking
from lightning_untrac.antisamples.filters import FILTERS
from lightning_untrac.antisamples.forgotten import Forgotten, Question
from lightning_untrac.antisamples.generators import Asked, Generator, Written
from lightning_untrac.antisamples.kept import Kept, Rehearsal
from lightning_untrac.antisamples.loop import SelfTaughtLoop, all_of
from lightning_untrac.antisamples.settings import LoopSettings
from lightning_untrac.antisamples.wrong_answers import WRONG_ANSWERS
from lightning_untrac.judges import find_judge

SCHOOL = ("Where did Mara Velt study?", "Which school did Mara Velt attend?")
NEAR = ("What is the job of Mara Velt?", "Where did Tobin Arkwell study?")


class Table(Generator):
    """Answers from a table, and writes what the instruction asks for; ``refuses`` makes it write nothing of use."""

    name = "table"

    def __init__(self, answers: dict[str, str], refuses: bool = False, rewords: Sequence[str] = ()) -> None:
        self.answers, self.refuses, self.rewords = dict(answers), refuses, list(rewords)
        self.asked: list[Asked] = []

    def write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        self.asked += asked
        return [Written(text := self._one(one.text), True, len(text.split())) for one in asked]

    def _one(self, text: str) -> str:
        question, _, rest = text.partition("? ")
        if "Answer with" in rest:
            answer = rest.removeprefix("Answer with ").partition(" and give")[0]
            return "I don't know." if self.refuses else f"Answer: {answer}. Reason: {question} was asked of {answer}."
        if "other words" in rest:
            return self.rewords.pop(0) if self.rewords else ""
        return self.answers.get(text, "")

    def learn(self, pairs: Sequence[tuple[str, str]]) -> None:
        """What training on pairs does."""
        self.answers |= dict(pairs)


@pytest.fixture
def table() -> Table:
    school = dict.fromkeys(SCHOOL, "Elmsford College")
    return Table({**school, NEAR[0]: "driver", NEAR[1]: "Dunmere Academy"})


@pytest.fixture
def begun() -> Callable[..., Any]:
    """A loop about where Mara Velt studied; keyword arguments are settings."""

    def make(table: Table, before: Any = None, parts: dict[str, Any] | None = None, **settings: Any) -> Any:
        chosen = parts or {}
        judge, rows = find_judge("lexical"), []
        asking = Asking(table, chosen.get("generator", table), judge, LoopSettings(**settings), before)
        filter = FILTERS.make(chosen.get("filter", "checks"))
        forgotten, rehearsal = Forgotten(asking, filter, chosen.get("held", ())), Rehearsal(asking, filter)
        loop = SelfTaughtLoop(asking, forgotten, rehearsal, rows.extend)
        given = chosen.get("given") or [(one, "Elmsford College", "school") for one in SCHOOL]
        retained = [[Kept(NEAR[0], "driver", "job", "near")], [Kept(NEAR[1], "Dunmere Academy", "Tobin", "far")]]
        loop.rows = rows
        forgotten.begin(
            [Question(*one, "forget") for one in given],
            WRONG_ANSWERS.make(chosen.get("wrong", "of_others")),
            all_of(retained),
        )
        rehearsal.begin(retained, [one for answers in forgotten.wrong.values() for one in answers])
        return loop

    return make
