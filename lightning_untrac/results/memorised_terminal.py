"""What a judgement says of memorisation, for the terminal: counts, a few numbers, and the first sequences."""

from __future__ import annotations

from typing import Final

from rich.console import RenderableType
from rich.text import Text

from lightning_untrac.results.judged import Value
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import MemorisedModel, MemorisedSet, shown_value, statistic_title
from lightning_untrac.results.style import format_number, with_unit
from lightning_untrac.results.terminal_tables import fixed_table
from lightning_untrac.tables.memorisation import OVER_FORGOTTEN, SURVIVOR

FIRST: Final = 3
"""Sequences of a side that the terminal shows."""

_TEXT: Final = 60
"""Characters of a text there."""

_OF_OTHERS: Final = (
    *("mean", "auc", "auc_difference", "auc_most_memorised", "tpr_at_1_percent", "privleak"),
    *("epsilon_at_least", "canaries_wrong"),
)
"""Statistics of other measures than the counted one that are shown here."""


def memorised_table(memorised: MemorisedSet, width: int | None = None) -> RenderableType:
    """Survivors and what is over-forgotten, and means of the other measures: a column a model.

    Args:
        memorised: the models of one forget set.
        width: of the terminal, in columns; None where there is room for everything.
    """
    groups: list[tuple[str, list[list[Text]]]] = []
    for measure in dict.fromkeys(measure for measure, _ in memorised.cells):
        lines = []
        for _, statistic in (cell for cell in memorised.cells if cell[0] == measure):
            if measure != memorised.counted and statistic not in _OF_OTHERS:
                continue
            values = [one.value(measure, statistic) for one in memorised.models]
            values.append(memorised.mean_retrained(measure, statistic))
            cells = [shown_value(statistic, Value(value.value)) for value in values]
            lines.append([Text(cell) for cell in (f" {statistic_title(statistic)}", *cells)])
        text = measure_text(measure)
        first = next(cell for cell in memorised.cells if cell[0] == measure)
        unit = memorised.unit(measure, "mean" if (measure, "mean") in memorised.cells else first[1])
        groups.append((with_unit(text.title, unit), lines))
    title = f"What models know of the {memorised.sequences:,} sequences of {memorised.forget_set}"
    prefix = f"unlearned-{memorised.forget_set}-"
    heads = ["", *(one.name.removeprefix(prefix) for one in memorised.models), "retrained"]
    return fixed_table(title, heads, groups, 1, width)


def outlier_lines(model: MemorisedModel) -> list[str]:
    """The first survivors and over-forgotten sequences of a model, a line each.

    Args:
        model: with its outliers.
    """
    lines = []
    for side in (SURVIVOR, OVER_FORGOTTEN):
        rows = model.listed(side)
        for row in rows[:FIRST]:
            values = " \u2192 ".join(format_number(row[key], signed=False) for key in ("original", "value"))
            text = " ".join((row["text"] or "").split())
            end = "\u2026" if len(text) > _TEXT else ""
            quoted = f"  {text[:_TEXT]}{end}" if text else ""
            never = format_number(row["retrained"], signed=False)
            lines.append(f"  {side} {row['example']}: {values} (retrained {never}){quoted}")
        if len(rows) > FIRST:
            lines.append(f"  and {len(rows) - FIRST} more of this side")
    return [f"{model.name}:", *lines] if lines else []
