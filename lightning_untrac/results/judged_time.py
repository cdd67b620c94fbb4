"""How long unlearned models took, beside retraining."""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.style import format_number
from lightning_untrac.results.terminal_tables import fixed_table

HEADS: Final = ("model", "seconds", "of retraining", "times as fast")

NOTE: Final = (
    "Wall time of the steps and of what is prepared for them, without readings, start-up and saving; of the retrained "
    "models the mean. It counts what was run here, not the search for its settings."
)


def time_rows(judged: JudgedSet) -> list[tuple[str, str, str, str]]:
    """A row a model whose time is known, the retrained ones last: see :data:`HEADS`.

    Args:
        judged: the models of one forget set.
    """
    if judged.together is None or not judged.seconds:
        return []
    again = judged.seconds[judged.together.model]
    rows = []
    for model, seconds in judged.seconds.items():
        share = ("", "") if model == judged.together.model else (f"{seconds / again:.1%}", f"{again / seconds:.2g}")
        rows.append((judged.labels[model], format_number(seconds, signed=False), *share))
    return rows


def time_section(judged: JudgedSet) -> str:
    """The table for a page, with what it counts.

    Args:
        judged: the models of one forget set.
    """
    if not (rows := time_rows(judged)):
        return ""
    table = table_html(HEADS, rows, range(1, len(HEADS)), "dense")
    return f'<h4>Time of training</h4>{table}<p class="muted small">{escape(NOTE)}</p>'


def time_table(judged: JudgedSet, width: int | None = None) -> RenderableType | None:
    """The same for the terminal; None where no time is known.

    Args:
        judged: the models of one forget set.
        width: of the terminal, in columns.
    """
    if not (rows := time_rows(judged)):
        return None
    lines = [[Text(cell) for cell in row] for row in rows]
    return Group(fixed_table("Time of training", [*HEADS], [("", lines)], 1, width), "", Text(NOTE, style="dim italic"))
