"""Ask the model that is unlearned, write with whatever generates, and keep count of what that costs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from lightning_untrac.antisamples.generators import Asked, Generator, Written
from lightning_untrac.antisamples.settings import LoopSettings
from lightning_untrac.judges import Judge, Said

SAMPLE, REASON, REWORD, TEMPLATE, REHEARSAL = range(1, 6)
"""First words of the seeds of draws, which keep those for one use apart from those for another."""

_LAST_END: Final = re.compile(r"[.!?][\"'\u201d)]?(?=\s|$)")


class AskedOne(Protocol):
    """A question for which texts are written."""

    text: str
    written: str
    verdict: str
    tries: int


class OutOfBudgetError(Exception):
    """There is no budget for what comes next."""


class Asking:
    """Questions to the model as it is, and instructions to a generator.

    Args:
        model: answers questions in the frame of the forget set.
        generator: writes to instructions.
        judge: says whether an output gives an answer.
        settings: of the loop.
        before: answers as ``model`` did before unlearning; None where that is not asked.

    Attributes:
        generations: texts that were generated so far.
        tokens: tokens likewise.
        doing: told what is being done, a clause, and how many texts of how many are done.
    """

    def __init__(
        self,
        model: Generator,
        generator: Generator,
        judge: Judge,
        settings: LoopSettings,
        before: Generator | None = None,
    ) -> None:
        self.model, self.generator, self.judge = model, generator, judge
        self.settings, self.before = settings, before
        self.generations = self.tokens = 0
        self.doing: Any = lambda what, done, of: None

    # -- what the model says ---------------------------------------------------------------------------------------

    def answers(self, questions: Sequence[str]) -> list[Written]:
        """Its greedy answers."""
        return self._all(self.model, [Asked(one) for one in questions], 0.0, "asking")

    def asks_the_same(self, asked: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether new wordings ask what they were made from asks: the model before unlearning answers them rightly.

        Args:
            asked: wordings with the right answers.
        """
        if self.before is None:
            return [True] * len(asked)
        said = self._all(self.before, [Asked(question) for question, _ in asked], 0.0, "checking wordings")
        return self.knows(asked, [one.text for one in said])

    def knows(self, asked: Sequence[tuple[str, str]], said: Sequence[str]) -> list[bool]:
        """Whether what was said gives the right answers.

        Args:
            asked: questions with these.
            said: to each.
        """
        return self.judge([Said(answer, text, question) for (question, answer), text in zip(asked, said, strict=True)])

    def draws_that_know(self, asked: Sequence[tuple[str, str]], round_number: int) -> list[int]:
        """In how many of the further draws each right answer is given."""
        count = self.settings.samples
        if not count or not asked:
            return [0] * len(asked)
        draws = [
            Asked(question, self.draw(SAMPLE, question, round_number, sample))
            for question, _ in asked
            for sample in range(count)
        ]
        found = self._all(self.model, draws, self.settings.temperature, "drawing answers")
        repeated = [pair for pair in asked for _ in range(count)]
        known = self.knows(repeated, [one.text for one in found])
        return [sum(known[begin : begin + count]) for begin in range(0, len(known), count)]

    # -- what is written -------------------------------------------------------------------------------------------

    def written(self, instructions: Sequence[Asked], greedy: bool, what: str) -> list[Written]:
        """What the generator writes, up to its last whole sentence where it was cut off.

        Args:
            instructions: with seeds.
            greedy: whether the likeliest token is taken each time.
            what: a clause for the progress.
        """
        temperature = 0.0 if greedy else self.settings.temperature
        return [whole(one) for one in self._all(self.generator, instructions, temperature, what)]

    def write_until(
        self,
        ones: Sequence[AskedOne],
        answers: Sequence[str],
        verdict: Callable[[Any, Written], str],
        taken: str,
        use: int,
        round_number: int,
        what: str,
    ) -> None:
        """Ask for answers with a reason until each is taken, greedily first, then drawn, at most ``tries`` times.

        Args:
            ones: questions; their ``written``, ``verdict`` and ``tries`` say what came of it.
            answers: that are to be given, one a question.
            verdict: of a text for a question.
            taken: the verdict on a text that is.
            use: what the draws are for.
            round_number: of the round.
            what: a clause for the progress.
        """
        left = list(zip(ones, answers, strict=True))
        for attempt in range(self.settings.tries if left else 0):
            instructions = []
            for one, answer in left:
                template = self.template(self.settings.prompts.reason, one.text, round_number, attempt)
                draw = self.draw(use, one.text, round_number, attempt)
                instructions.append(Asked(template.format(question=one.text, answer=answer), draw))
            for (one, _), new in zip(left, self.written(instructions, attempt == 0, what), strict=True):
                one.written, one.tries = new.text, one.tries + 1
                one.verdict = verdict(one, new)
            left = [(one, answer) for one, answer in left if one.verdict != taken]
            if not left:
                break

    def template(self, templates: Sequence[str], *names: object) -> str:
        """One of several templates, drawn by what it is for."""
        return templates[self.draw(TEMPLATE, *names)[-1] % len(templates)]

    def draw(self, use: int, *names: object) -> tuple[int, ...]:
        """The seed of a draw: the same for the same use and names, whatever came before."""
        return (self.settings.seed or 0, use, zlib.crc32("\x1f".join(map(str, names)).encode()))

    def _all(self, generator: Generator, asked: Sequence[Asked], temperature: float, what: str) -> list[Written]:
        settings = self.settings
        if settings.generations is not None and self.generations + len(asked) > settings.generations:
            raise OutOfBudgetError(
                f"{self.generations} of {settings.generations} generations are used up, and {len(asked)} more are "
                f"needed for {what} (method.generations)"
            )
        found: list[Written] = []
        for begin in range(0, len(asked), AT_ONCE):
            if settings.tokens is not None and self.tokens >= settings.tokens:
                raise OutOfBudgetError(f"{settings.tokens} tokens are used up (method.tokens)")
            self.doing(what, begin, len(asked))
            found += generator.write(asked[begin : begin + AT_ONCE], temperature, settings.longest)
            self.generations += len(found) - begin
            self.tokens += sum(one.tokens for one in found[begin:])
        return found

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, int]:
        """What was used up."""
        return {"generations": self.generations, "tokens": self.tokens}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take it back."""
        self.generations, self.tokens = state["generations"], state["tokens"]


AT_ONCE: Final = 256
"""Texts between two looks at the progress; the generator makes batches of these."""


def whole(written: Written) -> Written:
    """A text that was cut off, up to the end of its last whole sentence; as it is where it has none.

    Example:
        >>> whole(Written("It is Rome. The river runs thr", False, 9))
        Written(text='It is Rome.', ended=True, tokens=9)
        >>> whole(Written("It is", False, 2)).ended
        False
    """
    if written.ended or not (ends := [*_LAST_END.finditer(written.text)]):
        return written
    return written._replace(text=written.text[: ends[-1].end()], ended=True)
