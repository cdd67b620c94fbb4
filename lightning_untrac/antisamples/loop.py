"""The rounds: probe, write, train, reword, until nothing is answered any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lightning_untrac.antisamples.asking import Asking, OutOfBudgetError
from lightning_untrac.antisamples.forgotten import TAKEN, Forgotten
from lightning_untrac.antisamples.kept import Kept, Rehearsal
from lightning_untrac.errors import UnlearningError
from lightning_untrac.naming import counted
from lightning_untrac.tables.ledger import LedgerRow

Pair = tuple[str, str]
"""A question and what is trained on as its answer."""


class Round(NamedTuple):
    """What a round trains on.

    Attributes:
        anti: anti-samples, or those of earlier rounds where only retained answers went wrong.
        rehearsed: right answers, with reasons where they had gone wrong.
    """

    anti: list[Pair]
    rehearsed: list[Pair]


class SelfTaughtLoop:
    """Give the next round's training texts, and know when to end.

    A round: every question is asked; new wordings are tried of facts that are not given any more, in the first round of
    all; to each question that is still answered the generator writes a wrong answer with a reason; retained questions
    are asked, and those whose answers went wrong are rehearsed with a reason for the right one. Questions of earlier
    rounds are asked again each time, unlike in UnSTAR's released code, so that an answer that comes back is seen.

    Args:
        asking: asks and writes.
        forgotten: the forget side, begun.
        rehearsal: the retain side, begun.
        write: takes the rows of the ledger.

    Attributes:
        round: number of the newest one.
        reason: why it ended; None where it has not.
        notes: what a user should know, a sentence each.
    """

    def __init__(
        self, asking: Asking, forgotten: Forgotten, rehearsal: Rehearsal, write: Callable[[list[LedgerRow]], None]
    ) -> None:
        self.asking, self.forgotten, self.rehearsal, self._write = asking, forgotten, rehearsal, write
        self.round = self._quiet = self._barren = self.lines = 0
        self.reason: str | None = None
        self.notes: list[str] = []
        self._newest: dict[str, str] = {}  # question to its newest anti-sample
        self._refused: Counter[str] = Counter()
        self._lost: str | None = None  # why there is nothing to go on with
        self._gave_up: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How it stands, for loggers."""
        questions = self.forgotten.questions
        return {
            "round": self.round,
            "questions": len(questions),
            "answered": sum(one.known for one in questions),
            "anti_samples": sum(one.verdict == TAKEN for one in questions),
            "retained_broken": sum(one.is_broken for one in self.rehearsal.probed),
            "generations": self.asking.generations,
            "tokens": self.asking.tokens,
        }

    @property
    def doubts(self) -> list[str]:
        """What went wrong, a sentence each, once it has ended."""
        counts = self.counts
        found = [] if self._gave_up is None else [self._gave_up]
        if counts["answered"]:
            found.append(f"not all is forgotten: {self.standing}")
        if counts["retained_broken"]:
            found.append(f"{counted(counts['retained_broken'], 'retained answer')} that went wrong did not come back")
        return found

    @property
    def standing(self) -> str:
        """How far it has come, a clause."""
        counts = self.counts
        return f"{counts['answered']} of {counted(counts['questions'], 'question')} still answered"

    def next_round(self, step: int, rehearsed_each: int) -> Round | None:
        """What to train on next; None where the loop has ended, for :attr:`reason`.

        Args:
            step: optimizer steps that were taken.
            rehearsed_each: rehearsed texts for each anti-sample.

        Raises:
            UnlearningError: if the model knows none of the facts to begin with, or the generator writes nothing that
                can be used.
        """
        while self.reason is None:
            self.round += 1
            try:
                found = self._round(step, rehearsed_each)
            except OutOfBudgetError as error:
                self.reason = f"{error}; {self.standing}"
                found = None
            self._keep(step)
            if self._lost is not None:
                raise UnlearningError(self._lost)
            if found is not None:
                return found
        return None

    def look(self, step: int) -> None:
        """Ask once more, at the end of the last step, and write it down."""
        self.round += 1
        try:
            self.forgotten.probe(self.round)
            self.rehearsal.probe()
        except OutOfBudgetError:
            return
        self._keep(step)

    def _round(self, step: int, rehearsed_each: int) -> Round | None:
        settings = self.asking.settings
        known = self.forgotten.probe(self.round)
        broken = self.rehearsal.probe()
        if self.round == 1 and (self._begins_unknown(bool(known))):
            return None
        new = [] if self.round > settings.rounds else self.forgotten.reword(self.round)
        known += self.forgotten.probe(self.round, new)
        if not known and not broken:
            self._quiet += 1
            if self._quiet >= settings.patience or not new:
                self.reason = f"none of {counted(len(self.forgotten.questions), 'question')} is answered any more"
            elif self.round >= settings.rounds:
                self.reason = self._out_of_rounds()
            return None
        self._quiet = 0
        if self.round > settings.rounds:
            self.reason = self._out_of_rounds()
            return None
        written = self.forgotten.write(known, self.round) if known else []
        self._newest |= {one.text: one.written for one in written}
        if known and not written:
            self._refused.update(one.verdict for one in known)
            self._gives_up(known[0].written)
            return None
        self._barren = 0
        anti = [(one.text, one.written) for one in written]
        if not anti:  # only retained answers are broken: what was learned is gone over again beside them
            anti = list(self._newest.items())
        rehearsed = self.rehearsal.write(broken, len(anti) * rehearsed_each, self.round)
        return Round(anti, [(one.text, one.written) for one in rehearsed])

    def _out_of_rounds(self) -> str:
        return f"method.rounds allows {counted(self.asking.settings.rounds, 'round')}; {self.standing}"

    def _begins_unknown(self, any_known: bool) -> bool:
        """Whether the model knows none of it; what it does not know of several facts is a note."""
        unknown = [fact for fact in self.forgotten.facts()
                   if not any(one.known for one in self.forgotten.questions if one.fact == fact.name)]  # fmt: skip
        if not any_known:
            one = self.forgotten.questions[0]
            self._lost = (
                f"the model answers none of {counted(len(self.forgotten.questions), 'question')} to begin with: to "
                f"{one.text!r} it says {one.said!r}, and the answer is {one.answer!r}. There is nothing to forget, or "
                "the questions are put otherwise than it knows them, or the judge misses its wording"
            )
        elif unknown:
            shown = ", ".join(repr(fact.name) for fact in unknown[:3])
            self.notes.append(f"{counted(len(unknown), 'fact')} not known to begin with: {shown}")
        probed = self.rehearsal.probed
        right = sum(bool(one.was_right) for one in probed)
        if probed:
            self.notes.append(f"{right} of {counted(len(probed), 'retained question')} answered to begin with")
        return not any_known

    def _gives_up(self, example: str) -> None:
        """Count a round without an anti-sample; give up after some."""
        self._barren += 1
        if self._barren < self.asking.settings.patience:
            return
        why = ", ".join(f"{reason} ({count})" for reason, count in self._refused.most_common())
        said = (
            f"no anti-sample passed the filter in {counted(self._barren, 'round')}: {why}; the newest text was "
            f"{example[:200]!r}. Give other instructions (method.prompts.reason), another generator "
            "(method.generator) or more method.tries"
        )
        if self._newest:
            self.reason = self._gave_up = said
        else:
            self._lost = said

    def _keep(self, step: int) -> None:
        rows = [one.row(self.round, step) for one in self.forgotten.questions]
        rows += [one.row(self.round, step) for one in self.rehearsal.probed]
        self._write(rows)
        self.lines += len(rows)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the next round depends on."""
        return {
            "asking": self.asking.state_dict(),
            "forgotten": self.forgotten.state_dict(),
            "rehearsal": self.rehearsal.state_dict(),
            "newest": dict(self._newest),
            "refused": dict(self._refused),
            "numbers": (self.round, self._quiet, self._barren, self.lines),
            "notes": list(self.notes),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.asking.load_state_dict(state["asking"])
        self.forgotten.load_state_dict(state["forgotten"])
        self.rehearsal.load_state_dict(state["rehearsal"])
        self._newest, self._refused = dict(state["newest"]), Counter(state["refused"])
        self.round, self._quiet, self._barren, self.lines = state["numbers"]
        self.notes = list(state["notes"])


def all_of(datasets: Sequence[Sequence[Kept]]) -> list[Pair]:
    """Questions and answers of several datasets."""
    return [(one.text, one.answer) for some in datasets for one in some]
