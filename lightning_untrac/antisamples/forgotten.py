"""The forget side of the loop: which questions are still answered, what is trained against them, and new wordings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from lightning_untrac.antisamples.asking import REASON, REWORD, Asking
from lightning_untrac.antisamples.filters import AntiSampleFilter, Candidate
from lightning_untrac.antisamples.generators import Asked, Written
from lightning_untrac.antisamples.rewordings import key, rewording_in, why_no_rewording
from lightning_untrac.antisamples.wrong_answers import Fact, WrongAnswers
from lightning_untrac.errors import UnlearningError
from lightning_untrac.judges import Said
from lightning_untrac.tables.ledger import LedgerRow

TAKEN = "taken"


@dataclass
class Question:
    """A question about a fact that is to be forgotten, and how it stands.

    Attributes:
        text: of it.
        answer: the right one.
        fact: its group.
        dataset: that it, or the one it was reworded from, stands in.
        origin: ``given`` or ``reworded``.
        said: the newest greedy answer.
        known: whether that, or a draw, gave the right answer.
        draws_known: draws that did.
        wrong: the wrong answer of the newest anti-sample.
        written: the newest text for it.
        verdict: of that text.
        tries: texts that were written in this round.
    """

    text: str
    answer: str
    fact: str
    dataset: str
    origin: str = "given"
    said: str = ""
    known: bool = True
    draws_known: int = 0
    wrong: str = ""
    written: str = ""
    verdict: str = ""
    tries: int = 0

    def row(self, round_number: int, step: int) -> LedgerRow:
        """It as a line of the ledger."""
        found = {name: value for name, value in asdict(self).items() if name not in ("text", "written")}
        return LedgerRow(round=round_number, step=step, kind="forget", question=self.text, text=self.written, **found)


class Forgotten:
    """All questions that are to lose their answers.

    Args:
        asking: asks and writes.
        filter: says which texts are anti-samples.
        kept_apart: keys of questions that only report, or are to stay.

    Attributes:
        questions: in the order in which they came.
        wrong: wrong answers by fact.
    """

    def __init__(self, asking: Asking, filter: AntiSampleFilter, kept_apart: Collection[str] = ()) -> None:
        self.asking, self.filter, self.kept_apart = asking, filter, frozenset(kept_apart)
        self.questions: list[Question] = []
        self.wrong: dict[str, list[str]] = {}

    # -- before the first round ------------------------------------------------------------------------------------

    def begin(self, given: Sequence[Question], source: WrongAnswers, others: Sequence[tuple[str, str]]) -> None:
        """Take the questions, and find wrong answers to each fact.

        Args:
            given: of the forget set.
            source: of wrong answers.
            others: questions with answers that are to stay.

        Raises:
            UnlearningError: for answers that stand in their questions, and facts without a wrong answer.
        """
        told = [one for one in given if self.asking.judge([Said(one.answer, one.text, one.text)])[0]]
        if told:
            raise UnlearningError(
                f"{told[0].dataset}: {len(told)} of {len(given)} questions hold their own answer, such as "
                f"{told[0].text!r} ({told[0].answer!r}): what a model says to them shows nothing; take them out"
            )
        by_key: dict[str, Question] = {}
        for one in given:
            by_key.setdefault(key(one.text), one)
        self.questions = list(by_key.values())
        facts = self.facts()
        every = [*others, *((one.text, one.answer) for one in self.questions)]
        found = source.of(facts, every, self.asking.generator, self.asking.settings.prompts)
        self.wrong = {fact.name: self._usable(fact, answers) for fact, answers in zip(facts, found, strict=True)}
        if missing := [fact for fact in facts if not self.wrong[fact.name]]:
            offered = next(answers for fact, answers in zip(facts, found, strict=True) if fact == missing[0])
            raise UnlearningError(
                f"no wrong answer is left for {len(missing)} of {len(facts)} facts, such as {missing[0].name!r} "
                f"({missing[0].answer!r}); offered were {offered[:5]}, and what gives the right answer or stands in a "
                "question is no wrong one. Give some: method.wrong_answers={class_path: listed, init_args: {answers: "
                "[...]}}, or retained questions of the same kind"
            )

    def facts(self) -> list[Fact]:
        """Each fact with its questions."""
        by_name: dict[str, list[Question]] = {}
        for one in self.questions:
            by_name.setdefault(one.fact, []).append(one)
        return [Fact(name, [one.text for one in some], some[0].answer) for name, some in by_name.items()]

    def _usable(self, fact: Fact, answers: Sequence[str]) -> list[str]:
        """As many as are needed, of those that don't give the right answer and don't stand in a question."""
        judge = self.asking.judge
        texts = dict.fromkeys(text.strip() for text in answers if text.strip())
        usable = (
            text
            for text in texts
            if not any(judge([Said(fact.answer, text), Said(text, fact.answer)]))
            and not any(judge([Said(text, question) for question in fact.questions]))
        )
        return list(islice(usable, self.asking.settings.wrong_per_fact))  # a judge may be dear

    # -- a round ---------------------------------------------------------------------------------------------------

    def probe(self, round_number: int, some: Sequence[Question] | None = None) -> list[Question]:
        """Ask questions, all by default.

        Returns:
            Those that are still answered.
        """
        asked = self.questions if some is None else list(some)
        pairs = [(one.text, one.answer) for one in asked]
        said = [one.text for one in self.asking.answers([one.text for one in asked])]
        known = self.asking.knows(pairs, said)
        # A question that is answered greedily needs no draws.
        rest = [place for place, one in enumerate(known) if not one]
        drawn = dict(
            zip(rest, self.asking.draws_that_know([pairs[place] for place in rest], round_number), strict=True)
        )
        for place, one in enumerate(asked):
            one.said, one.draws_known = said[place], drawn.get(place, 0)
            one.known = known[place] or one.draws_known > 0
            one.wrong = one.written = one.verdict = ""
            one.tries = 0
        return [one for one in asked if one.known]

    def reword(self, round_number: int) -> list[Question]:
        """New wordings of questions that are not answered any more, in the first round of any; none of enough.

        Returns:
            Those that are taken.
        """
        settings = self.asking.settings
        counts: dict[str, int] = {}
        for one in self.questions:
            counts[one.fact] = counts.get(one.fact, 0) + 1
        instructions, of = [], []
        for fact in self.facts():
            done = [one for one in self.questions if one.fact == fact.name and (round_number == 1 or not one.known)]
            left = min(settings.rewordings, settings.most_questions - counts[fact.name])
            for number in range(max(0, left) if done else 0):
                draw = self.asking.draw(REWORD, fact.name, round_number, number)
                one = done[draw[-1] % len(done)]
                template = self.asking.template(settings.prompts.reword, fact.name, round_number, number)
                instructions.append(Asked(template.format(question=one.text), draw))
                of.append(one)
        asked, found = {key(one.text) for one in self.questions}, []
        for one, text in zip(of, self.asking.written(instructions, False, "rewording"), strict=True):
            new = rewording_in(text.text)
            why = why_no_rewording(new, one.text, one.answer, asked, self.kept_apart, self.asking.judge)
            if why is None:
                asked.add(key(new))
                found.append(Question(new, one.answer, one.fact, one.dataset, "reworded"))
        same = self.asking.asks_the_same([(one.text, one.answer) for one in found])
        found = [one for one, is_same in zip(found, same, strict=True) if is_same]
        self.questions += found
        return found

    def write(self, known: Sequence[Question], round_number: int) -> list[Question]:
        """Write an anti-sample for each question that is still answered; greedily first, then drawn.

        Returns:
            Those that have one; the others stay as they are.
        """
        for one in known:
            answers = self.wrong[one.fact]
            one.wrong = answers[self.asking.draw(REASON, one.text)[-1] % len(answers)]
        wrong, what = [one.wrong for one in known], "writing anti-samples"
        self.asking.write_until(known, wrong, self._verdict, TAKEN, REASON, round_number, what)
        return [one for one in known if one.verdict == TAKEN]

    def _verdict(self, one: Question, new: Written) -> str:
        if not new.text or not new.ended:
            return "cut off" if new.text else "empty"
        candidate = Candidate(one.text, one.wrong, one.answer, new.text)
        return self.filter.why_not(candidate, self.asking.judge, ()) or TAKEN

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Questions and wrong answers."""
        return {"questions": [asdict(one) for one in self.questions], "wrong": dict(self.wrong)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.questions = [Question(**one) for one in state["questions"]]
        self.wrong = {name: list(answers) for name, answers in state["wrong"].items()}
