"""What models said to some texts, before unlearning and after, for the report and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_untrac.results.page import escape, table_html

COLUMNS = ("dataset", "asked", "before", "after")


def answers_section(run: Mapping[str, Any]) -> str:
    """A table for each stage that has asked.

    Args:
        run: content of ``run.json``, whose ``answers`` hold rows by stage.
    """
    parts = []
    stages = {stage: rows for stage, entries in (run.get("answers") or {}).items() if (rows := _rows(entries))}
    for stage, rows in stages.items():
        parts.append(f"<h3>{escape(stage)}</h3>" if len(stages) > 1 else "")
        parts.append(table_html(COLUMNS, rows))
    note = '<p class="muted small">The likeliest words each time; an answer may be cut at its end.</p>'
    return note + "".join(parts) if parts else ""


def continuations_section(run: Mapping[str, Any]) -> str:
    """How every model of a judgement goes on from the same openings, a table a forget set.

    Args:
        run: content of ``run.json``, whose ``continuations`` hold rows by forget set; what has another form is passed
            over.
    """
    told: Any = run.get("continuations")
    told = told if isinstance(told, Mapping) else {}
    parts = []
    for forget_set, entries in told.items():
        found = [one for one in entries if isinstance(one, Mapping)] if isinstance(entries, Sequence) else []
        rows = [one for one in found if isinstance(one.get("said"), Mapping)]
        models = list(dict.fromkeys(str(model) for one in rows for model in one["said"]))
        cells = [
            [one_line(str(one.get(key, ""))) for key in ("dataset", "opening")]
            + [one_line(str(one["said"].get(model, ""))) for model in models]
            for one in rows
        ]
        if cells:
            parts.append(f"<h3>{escape(str(forget_set))}</h3>" if len(told) > 1 else "")
            parts.append(table_html(("dataset", "opening", *models), cells))
    note = '<p class="muted small">The likeliest words each time, from the first texts of each dataset.</p>'
    return note + "".join(parts) if parts else ""


def answer_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    r"""The same as lines.

    Args:
        rows: with ``dataset``, ``asked``, ``before`` and ``after``.

    Example:
        >>> answer_lines([{"dataset": "text", "asked": "Who?", "before": "Ann.\n", "after": "\x1b"}])
        ['text: Who?', '  before: Ann.', '  after:  (nothing)']
    """
    found = []
    for dataset, asked, before, after in _rows(rows):
        found += [f"{dataset}: {asked}", f"  before: {before}", f"  after:  {after}"]
    return found


def _rows(entries: Any) -> list[tuple[str, ...]]:
    sound = [one for one in entries if isinstance(one, Mapping)] if isinstance(entries, Sequence) else []
    return [tuple(one_line(str(one.get(column, ""))) for column in COLUMNS) for one in sound]


def one_line(text: str) -> str:
    r"""A text on one line, without what would steer a terminal; ``(nothing)`` where nothing is left.

    Example:
        >>> one_line(" Ann\n and \x1bBo "), one_line("")
        ('Ann and Bo', '(nothing)')
    """
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable()).strip() or "(nothing)"
