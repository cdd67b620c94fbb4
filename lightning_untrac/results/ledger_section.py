"""The part of a report that tells a self-taught unlearning from its ledger, a fact question by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lightning_untrac.naming import counted
from lightning_untrac.results.answers_section import one_line
from lightning_untrac.results.ledgers import (
    TAKEN,
    FactStory,
    LedgerStory,
    QuestionStory,
    Row,
    Written,
    ledger_sentence,
    rounds_text,
)
from lightning_untrac.results.page import escape, picture_html

MODELS: Final = 12
"""Ledgers that the page tells."""

FACTS: Final = 6
"""Facts of a ledger; the first one lies open."""

QUESTIONS: Final = 16
"""Questions of a fact."""

TEXTS: Final = 4
"""Texts that were written for a question."""

BROKEN: Final = 8
"""Retained questions that broke."""

LETTERS: Final = 240
"""Of a text."""

MEANING: Final = """<p class="muted small">Before each round all questions were asked; to each one that was still
answered the model wrote an anti-sample, a wrong answer with a reason, and was trained on it where it passed the filter.
Retained answers that broke were rehearsed with a reason for the right one. Answers are the likeliest words, judged as
in the run. These questions were trained on; what other wordings bring out is for test sets to tell. Texts may be cut at
their end.</p>"""


def ledger_section(stories: Sequence[LedgerStory], drawn: Mapping[str, Path]) -> str:
    """A sentence, the picture and the story of each fact, for each model.

    Args:
        stories: a model each.
        drawn: pictures by model.
    """
    parts = []
    for place, story in enumerate(stories[:MODELS]):
        picture = drawn.get(story.model)
        told = _facts(story) + _broken(story)
        parts.append(
            f"<h3>{escape(story.model)}</h3><p>{escape(ledger_sentence(story))}</p>"
            + ("" if picture is None else picture_html(picture, f"Round by round, {story.model}"))
            + (told if place == 0 else f"<details><summary>Question by question</summary>{told}</details>")
        )
    parts.append(_left_out(len(stories) - MODELS, "model", "*.ledger.parquet"))
    return MEANING + "".join(parts) if stories else ""


def _facts(story: LedgerStory) -> str:
    """The first fact, and some others that open with a click."""
    facts, parts = story.facts, []
    for place, fact in enumerate(facts[:FACTS]):
        told = _fact(fact, story)
        name = escape(one_line(_cut(fact.name)))
        parts.append(f"<h4>{name}</h4>{told}" if place == 0 else f"<details><summary>{name}</summary>{told}</details>")
    return "".join(parts) + _left_out(len(facts) - FACTS, "fact", f"{story.model}.ledger.parquet")


def _fact(fact: FactStory, story: LedgerStory) -> str:
    answers = " or ".join(_cut(one_line(answer)) for answer in fact.answers[:3])
    answered = fact.answered
    until = f"; last given in round {answered[-1]} of {max(story.steps)}" if answered else "; never given"
    rows = [
        (
            _said(one.first["question"], _origin(one)),
            _said(one.first["said"], *_given(one.first)),
            _texts(one.written(list(one.rows))),
            _said(one.last["said"], *_ending(one)),
        )
        for one in fact.questions[:QUESTIONS]
    ]
    left = _left_out(len(fact.questions) - QUESTIONS, "question", f"{story.model}.ledger.parquet")
    said = f'<p class="small">The right answer: <strong>{escape(answers)}</strong>{until}.</p>'
    return said + _table(("question", "said at first", "anti-samples that it wrote", "says at the end"), rows) + left


def _broken(story: LedgerStory) -> str:
    """Some retained questions whose answers broke."""
    broke = story.broke
    if not broke:
        return ""
    rows = [
        (
            _said(one.first["question"], one.first["dataset"]),
            _said(one.first["answer"]),
            _said(one.rows[one.broken[0]]["said"], rounds_text(one.broken)),
            _texts(one.written(one.broken)),
            _said(one.last["said"], *_came_back(one)),
        )
        for one in broke[:BROKEN]
    ]
    head = ("question", "right answer", "said when it broke", "rehearsed", "says at the end")
    left = _left_out(len(broke) - BROKEN, "question", f"{story.model}.ledger.parquet")
    order = ", those that stayed so first" if any(not one.last["known"] for one in broke) else ""
    return f"<h4>Retained answers that broke{order}</h4>{_table(head, rows)}{left}"


# -- cells -------------------------------------------------------------------------------------------------------------


def _origin(one: QuestionStory) -> str:
    return "" if one.first["origin"] == "given" else f"reworded, from {rounds_text(list(one.rows)[:1])} on"


def _given(row: Row) -> tuple[str, bool]:
    """Whether a row's answer is the right one, and that in red where it is."""
    if not row["known"]:
        return "not right", False
    return f"right in {counted(row['draws_known'], 'draw')}" if row["draws_known"] else "right", True


def _ending(one: QuestionStory) -> tuple[str, bool]:
    if one.last["known"]:
        return "still right" if not one.last["draws_known"] else f"still right in {one.last['draws_known']} draws", True
    answered = one.answered
    return f"not right since round {answered[-1] + 1}" if answered else "never right", False


def _came_back(one: QuestionStory) -> tuple[str, bool]:
    if not one.last["known"]:
        return "still broken", True
    return f"right again since round {one.broken[-1] + 1}", False


def _said(text: str, tag: str = "", known: bool = False) -> str:
    """A text with a remark below it."""
    style = "tag known" if known else "tag"
    return escape(_cut(one_line(text))) + (f'<span class="{style}">{escape(_cut(one_line(tag)))}</span>' if tag else "")


def _texts(written: Sequence[Written]) -> str:
    """What was written for a question, the newest texts where there are many."""
    shown = written[-TEXTS:]
    items = [f"<p>{_said(one.text, _remark(one))}</p>" for one in shown]
    if left := len(written) - len(shown):
        items.insert(0, f'<p><span class="tag">{counted(left, "earlier text")} left out</span></p>')
    return "".join(items) or "\u2013"


def _remark(one: Written) -> str:
    """When, for which wrong answer, and whether it was taken."""
    parts = [rounds_text(one.rounds)]
    if one.wrong:
        parts.append(f"for {_cut(one_line(one.wrong))}")
    if one.wrong and one.verdict != TAKEN:
        tried = f", the last of {one.tries}" if one.tries > 1 else ""
        parts.append(f"not taken: {one.verdict}{tried}")
    elif one.verdict == "broken":
        parts.append("its first answer: no reason was taken")
    return "; ".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "\u2026"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are markup."""
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="story"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _left_out(count: int, noun: str, file: str) -> str:
    if count <= 0:
        return ""
    return f'<p class="muted small">{counted(count, f"more {noun}")} in <code>{escape(file)}</code>.</p>'
