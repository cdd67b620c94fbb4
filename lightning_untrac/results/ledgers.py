"""What a ledger of self-taught unlearning tells: its rounds, each fact's questions, and retained answers that broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from lightning_untrac.naming import counted
from lightning_untrac.tables.ledger import read_ledgers

TAKEN: Final = "taken"

Row = Mapping[str, Any]


class Written(NamedTuple):
    """A text that was written for a question.

    Attributes:
        rounds: in which it was the newest one.
        wrong: the wrong answer that it was asked for; empty for what is rehearsed.
        text: as it was written.
        verdict: of the filter, ``taken`` or why not; of what is rehearsed, ``rehearsed`` or ``broken``.
        tries: texts that were written until this one, over all its rounds.
    """

    rounds: list[int]
    wrong: str
    text: str
    verdict: str
    tries: int


@dataclass(frozen=True)
class QuestionStory:
    """A question over the rounds.

    Attributes:
        rows: the ledger's, by round, from the first one in which it was asked.
    """

    rows: Mapping[int, Row]

    @property
    def first(self) -> Row:
        """How it began."""
        return next(iter(self.rows.values()))

    @property
    def last(self) -> Row:
        """How it ended."""
        return next(reversed(list(self.rows.values())))

    @property
    def answered(self) -> list[int]:
        """Rounds in which the right answer was given."""
        return [number for number, row in self.rows.items() if row["known"]]

    @property
    def broken(self) -> list[int]:
        """Rounds in which the right answer, given at first, was not given any more."""
        return [number for number, row in self.rows.items() if not row["known"]] if self.first["known"] else []

    def written(self, rounds: Sequence[int]) -> list[Written]:
        """Texts that were written for it in some rounds, equal ones together.

        Args:
            rounds: which.
        """
        found: dict[tuple[str, str, str], Written] = {}
        for number in rounds:
            row = self.rows[number]
            if row["verdict"]:
                key = (row["wrong"], row["text"], row["verdict"])
                before = found.get(key, Written([], *key, 0))
                found[key] = Written([*before.rounds, number], *key, before.tries + row["tries"])
        return list(found.values())


@dataclass(frozen=True)
class FactStory:
    """A fact that was forgotten.

    Attributes:
        name: of it.
        questions: about it, in the order in which they came.
    """

    name: str
    questions: Sequence[QuestionStory]

    @property
    def answers(self) -> list[str]:
        """The right ones."""
        return list(dict.fromkeys(one.first["answer"] for one in self.questions))

    @property
    def answered(self) -> list[int]:
        """Rounds in which some question gave it."""
        return sorted({number for one in self.questions for number in one.answered})


@dataclass(frozen=True)
class LedgerStory:
    """A model's ledger.

    Attributes:
        model: name of its folder.
        steps: rounds to the optimizer steps before them.
        forgotten: the questions that were to lose their answers.
        retained: those that were to keep them.
    """

    model: str
    steps: Mapping[int, int]
    forgotten: Sequence[QuestionStory]
    retained: Sequence[QuestionStory]

    @property
    def facts(self) -> list[FactStory]:
        """What was forgotten, that which was answered in most rounds first, then that of most questions."""
        by_name: dict[str, list[QuestionStory]] = {}
        for one in self.forgotten:
            by_name.setdefault(one.first["fact"], []).append(one)
        found = [FactStory(name, questions) for name, questions in by_name.items()]
        return sorted(found, key=lambda fact: (-len(fact.answered), -len(fact.questions)))

    @property
    def broke(self) -> list[QuestionStory]:
        """Retained questions whose answers broke, those that stayed so first, then those that did for most rounds."""
        found = [one for one in self.retained if one.broken]
        return sorted(found, key=lambda one: (one.last["known"], -len(one.broken)))


def ledger_story(model: str, rows: Sequence[Row]) -> LedgerStory:
    """Sort a ledger's rows by question.

    Args:
        model: name of its folder.
        rows: at least one.
    """
    steps: dict[int, int] = {}
    found: dict[str, dict[tuple[str, ...], dict[int, Row]]] = {"forget": {}, "retain": {}}
    for row in sorted(rows, key=lambda row: int(row["round"])):
        steps[row["round"]] = row["step"]
        key = tuple(row[name] for name in ("dataset", "fact", "question", "answer"))
        found[row["kind"]].setdefault(key, {})[row["round"]] = row
    sides = [[QuestionStory(own) for own in side.values()] for side in found.values()]
    return LedgerStory(model, steps, *sides)


def find_ledgers(folder: Path) -> list[LedgerStory]:
    """The ledgers of a run, a model each.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if one is damaged.
    """
    return [ledger_story(model, rows) for model, rows in read_ledgers(folder).items() if rows]


def ledger_sentence(story: LedgerStory) -> str:
    """What happened, in one sentence.

    Args:
        story: of a model.
    """
    given = [one for one in story.forgotten if one.first["origin"] == "given"]
    reworded = len(story.forgotten) - len(given)
    at_first = sum(bool(one.first["known"]) for one in given)
    at_the_end = sum(bool(one.last["known"]) for one in story.forgotten)
    facts = len(story.facts)
    texts = [text for one in story.forgotten for text in one.written(list(one.rows))]
    taken = sum(len(text.rounds) for text in texts if text.verdict == TAKEN)
    added = counted(reworded, "rewording") if reworded else "no rewording"
    said = [
        f"In {counted(len(story.steps), 'round')} and {counted(max(story.steps.values()), 'step')} the model went from "
        f"{at_first} of {counted(len(given), 'question')}{f' about {facts} facts' if facts > 1 else ''} answered to "
        f"{at_the_end} of {len(story.forgotten)}, with {added} added",
        f"{counted(sum(text.tries for text in texts), 'anti-sample')} written, {taken} of them taken",
    ]
    if story.retained:
        broke = story.broke
        right = sum(bool(one.first["known"]) for one in story.retained)
        back = sum(bool(one.last["known"]) for one in broke)
        reasons = sum(text.tries for one in broke for text in one.written(one.broken))
        what = f"{counted(right, 'retained answer')} that {'was' if right == 1 else 'were'} right"
        said.append(
            f"of {what} {len(broke)} broke on the way and {back} came back, with {counted(reasons, 'reason')} written"
            if broke
            else f"of {what} none broke"
        )
    return "; ".join(said) + "."


def rounds_text(rounds: Sequence[int]) -> str:
    """Rounds in words.

    Args:
        rounds: in ascending order.

    Example:
        >>> rounds_text([3]), rounds_text([1, 2, 3, 6])
        ('round 3', 'rounds 1\u20133, 6')
    """
    parts: list[list[int]] = []
    for number in rounds:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    said = [str(part[0]) if len(part) == 1 else f"{part[0]}\u2013{part[-1]}" for part in parts]
    return f"{'round' if len(rounds) == 1 else 'rounds'} {', '.join(said)}"
