"""A verdict on each unlearned model in words: a headline, and the sentences with the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_untrac.results import evidence
from lightning_untrac.results.case import Case, Statement
from lightning_untrac.results.judged import JudgedModel, JudgedSet, in_a_sentence, nearer_by
from lightning_untrac.results.memorised import MemorisedSet, shown_value, survivors_sentence
from lightning_untrac.results.page import escape, sentence_html
from lightning_untrac.results.sentence import Link, Name, Part, Sentence
from lightning_untrac.results.statements import statements

SHOWN_AT_MOST = 6
"""Reasons of a verdict that a page shows without a click."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of an unlearned model.

    Attributes:
        model: its path.
        name: what it is called.
        statements: at least one.
        numbers: sentences with numbers that several statements rest on.
        examined: what examinations say of it.
    """

    model: str
    name: str
    statements: Sequence[Statement]
    numbers: Sequence[str] = ()
    examined: Sequence[str] = ()

    @property
    def headline(self) -> str:
        """Every statement in a few words."""
        return "; ".join(one.words for one in self.statements)

    @property
    def linked(self) -> Sentence:
        """The same, with links to what is listed further down on the page."""
        parts: list[Part] = []
        for one in self.statements:
            parts += ["; " if parts else "", one.words]
            parts += [", ", Link("here they are", one.anchor)] if one.anchor else []
        return tuple(parts)

    @property
    def reasons(self) -> list[str]:
        """A sentence or two each."""
        return [*self.numbers, *(one.reason for one in self.statements if one.reason), *self.examined]


def verdicts_on(
    judged: JudgedSet, memorised: MemorisedSet | None = None, examined: Mapping[str, Sequence[str]] | None = None
) -> list[Verdict]:
    """A verdict on each unlearned model.

    Without retrained models it speaks of the original, of unseen text and of chance alone; with one it does not know
    the noise of retraining, and says so.

    Args:
        judged: the models of one forget set.
        memorised: what they know of each of its sequences, if that was judged.
        examined: path of a model to what examinations say of it.
    """
    found = []
    for model in judged.unlearned:
        case = Case(judged, model, memorised)
        numbers = [_distances(case)] if judged.retrained and judged.measures and case.is_finite else []
        if memorised is not None and case.known is not None:
            sentence = survivors_sentence(memorised, case.known)
            numbers.append(sentence[:1].upper() + sentence[1:])
        said = (examined or {}).get(model.model, ())
        found.append(Verdict(model.model, model.name, statements(case), numbers, said))
    return found


def _distances(case: Case) -> str:
    """Which of two models it is nearer to, and how far it is from the retrained ones beyond noise."""
    judged, model = case.judged, case.model
    said = f"{_nearer(case)} ({_each(judged, model, 'nearer')}; 0: retrained, 1: original)."
    excess = evidence.excess_of(judged, model, case.forget)
    if excess.values:
        first = judged.models[0]
        own = f", the original's own: {_each(judged, first, 'excess')}" if first.is_original else ""
        said += (
            f" Its excess over the noise of retraining: {_each(judged, model, 'excess')} "
            f"(0: as another retraining{own})."
        )
    if beyond := excess.beyond(1):
        said += f" It ended farther from it than the original is ({' and '.join(map(in_a_sentence, beyond))})."
    return said


def _each(judged: JudgedSet, model: JudgedModel, statistic: str) -> str:
    values = ((measure, model.value(measure, judged.forget_set, statistic)) for measure in judged.measures)
    return ", ".join(f"{in_a_sentence(measure)} {shown_value(statistic, value)}" for measure, value in values)


def _nearer(case: Case) -> str:
    """Which of two models it is nearer to, by each distance where they disagree."""
    said = nearer_by(case.judged, case.model)
    words = {
        "yes": "it is nearer to the retrained model than to the original",
        "no": "it is nearer to the original than to the retrained model",
        "can't tell": "whether it is nearer to the original or to the retrained model can't be told",
    }
    if len(set(said.values())) == 1:
        found = words[next(iter(said.values()))]
    else:
        found = "; ".join(f"by {in_a_sentence(measure)} {words[one]}" for measure, one in said.items())
    return f"On {case.forget} {found}"


def verdict_html(found: Sequence[Verdict]) -> str:
    """A card a model.

    Args:
        found: verdicts, as a page leads with them.
    """
    cards = []
    for one in found:
        items = [f"<li>{escape(reason)}</li>" for reason in one.reasons]
        shown, rest = "".join(items[:SHOWN_AT_MOST]), "".join(items[SHOWN_AT_MOST:])
        more = (
            f'<details><summary>{len(items) - SHOWN_AT_MOST} more</summary><ul class="because">{rest}</ul></details>'
            if rest
            else ""
        )
        because = f'<ul class="because">{shown}</ul>' if shown else ""
        head = f"{sentence_html((Name(one.name),))}: <strong>{sentence_html(one.linked)}</strong>"
        cards.append(f"<li>{head}{because}{more}</li>")
    return f'<ul class="answers">{"".join(cards)}</ul>' if cards else ""


def verdict_lines(found: Sequence[Verdict]) -> list[str]:
    """The same for the terminal, a line a sentence.

    Args:
        found: verdicts.
    """
    return [line for one in found for line in (f"{one.name}: {one.headline}", *(f"  {said}" for said in one.reasons))]
