"""The retain side of the loop: which answers went wrong, and what is rehearsed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lightning_untrac.antisamples.asking import REHEARSAL, Asking, whole
from lightning_untrac.antisamples.filters import AntiSampleFilter, Candidate
from lightning_untrac.antisamples.generators import Written
from lightning_untrac.judges import Said
from lightning_untrac.tables.ledger import LedgerRow

BROKEN, REHEARSED = "broken", "rehearsed"


@dataclass
class Kept:
    """A question whose answer is to stay.

    Attributes:
        text: of it.
        answer: the right one.
        fact: its group.
        dataset: that it stands in.
        was_right: whether the model gave it before the first step; None before it was asked.
        first: what the model answered then, up to its last whole sentence; the bare answer where that lacks it.
        said: the newest greedy answer.
        complete: it, likewise; empty where that lacks the right answer.
        known: whether that is right.
        written: what is rehearsed.
        verdict: ``rehearsed`` (its own answer, or a reason for the right one), ``broken`` (its first answer is, because
            no reason was taken), or empty.
        tries: texts that were written in this round.
    """

    text: str
    answer: str
    fact: str
    dataset: str
    was_right: bool | None = None
    first: str = ""
    said: str = ""
    complete: str = ""
    known: bool = True
    written: str = ""
    verdict: str = ""
    tries: int = 0

    @property
    def is_broken(self) -> bool:
        """Whether its answer was right and is not any more."""
        return bool(self.was_right) and not self.known

    def row(self, round_number: int, step: int) -> LedgerRow:
        """It as a line of the ledger."""
        found = asdict(self)
        for name in ("text", "written", "was_right", "first", "complete"):
            del found[name]
        return LedgerRow(
            round=round_number, step=step, kind="retain", origin="given", question=self.text, text=self.written, **found
        )


class Rehearsal:
    """Questions that are to keep their answers, the mirror of the forget side: STaR with the right answer as the hint.

    An answer that was right before and is wrong now is broken: the model is told the right one, writes a reason, and is
    trained on both without the hint (Zelikman et al. 2022). A reason that gives a wrong answer of a forgotten fact is
    not taken: a model that says it everywhere would rehearse that. Where no reason is taken, what the model answered
    before the first step is trained on. An answer that is right is rehearsed as it was given.

    Args:
        asking: asks and writes.
        filter: says which texts are taken.

    Attributes:
        probed: questions that are asked every round.
    """

    def __init__(self, asking: Asking, filter: AntiSampleFilter) -> None:
        self.asking, self.filter = asking, filter
        self.probed: list[Kept] = []
        self.wrong: list[str] = []

    def begin(self, by_dataset: Sequence[Sequence[Kept]], wrong: Iterable[str] = ()) -> None:
        """Draw the questions that are asked, once, of each dataset.

        Args:
            by_dataset: all questions of each.
            wrong: answers that anti-samples give.
        """
        settings, self.probed, self.wrong = self.asking.settings, [], list(dict.fromkeys(wrong))
        for some in by_dataset:
            if not some:
                continue
            order = np.random.default_rng(self.asking.draw(REHEARSAL, some[0].dataset)).permutation(len(some))
            self.probed += [some[index] for index in np.sort(order[: settings.retained_probes])]

    def probe(self) -> list[Kept]:
        """Ask them all.

        Returns:
            Those that are broken.
        """
        asked = [(one.text, one.answer) for one in self.probed]
        said = self.asking.answers([one.text for one in self.probed])
        known = self.asking.knows(asked, [one.text for one in said])
        # What was cut off would teach the model to end there.
        ended = [one.text if one.ended else "" for one in map(whole, said)]
        still = self.asking.knows(asked, ended)
        for one, text, right, end, keeps in zip(self.probed, said, known, ended, still, strict=True):
            one.said, one.known, one.written, one.verdict, one.tries = text.text, right, "", "", 0
            one.complete = end if keeps else ""
            if one.was_right is None:
                one.was_right, one.first = right, one.complete or one.answer
        return [one for one in self.probed if one.is_broken]

    def write(self, broken: Sequence[Kept], count: int, round_number: int) -> list[Kept]:
        """What is rehearsed beside a round's anti-samples: all that is broken, then others that are right.

        Args:
            broken: what :meth:`probe` found.
            count: how many there are to be at least, as far as there are any.
            round_number: of the round.
        """
        answers = [one.answer for one in broken]
        self.asking.write_until(broken, answers, self._verdict, REHEARSED, REHEARSAL, round_number, "writing reasons")
        for one in broken:
            if one.verdict != REHEARSED:
                one.written = one.first
        right = [one for one in self.probed if one.known and one.complete]
        order = np.random.default_rng(self.asking.draw(REHEARSAL, "beside", round_number)).permutation(len(right))
        chosen = [right[index] for index in order[: max(0, count - len(broken))]]
        for one in chosen:
            one.written, one.verdict = one.complete, REHEARSED
        return [*broken, *chosen]

    def _verdict(self, one: Kept, new: Written) -> str:
        candidate = Candidate(one.text, one.answer, "", new.text)
        if not new.ended or self.filter.why_not(candidate, self.asking.judge, ()) is not None:
            return BROKEN
        return BROKEN if self._strays(one, new.text) else REHEARSED

    def _strays(self, one: Kept, text: str) -> bool:
        """Whether a reason gives a wrong answer of a forgotten fact, where that is not right or asked for."""
        judge = self.asking.judge
        told = judge([Said(wrong, f"{one.answer}. {one.text}", one.text) for wrong in self.wrong])
        given = judge([Said(wrong, text, one.text) for wrong in self.wrong])
        return any(is_given and not is_told for is_given, is_told in zip(given, told, strict=True))

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The questions and how they stand."""
        return {"probed": [asdict(one) for one in self.probed], "wrong": list(self.wrong)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.probed, self.wrong = [Kept(**one) for one in state["probed"]], list(state["wrong"])
