"""The part of a report that shows a large matrix: the strongest first, and every cell in lists that open."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.plots import LARGE
from lightning_untrac.results.style import format_number, scale_of

if TYPE_CHECKING:
    from lightning_untrac.results.uncertainty import InfluenceIntervals

_STRONGEST: Final = 5


def is_large(matrix: InfluenceMatrix) -> bool:
    """Whether a matrix is too large to be read as one table."""
    return bool(matrix.values.size > LARGE)


def large_section(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None = None) -> str:
    """The strongest corpora of each test set as a table, and below it all corpora of each, sorted, in lists that open.

    The browser's own search finds what is in the lists.

    Args:
        matrix: K corpora x M test sets.
        intervals: Its intervals, if it has any; half of each stands beside the number.

    Returns:
        The markup.
    """
    rows, lists = [], []
    width = max(map(len, matrix.corpora))
    halves = None if intervals is None else intervals.half_widths
    for j, test_set in enumerate(matrix.test_sets):
        values, usable = matrix.values[:, j], matrix.usable[:, j]
        scale = scale_of(values[usable]) or scale_of(values)
        order = np.argsort(-np.where(usable, values, -np.inf), kind="stable")
        lines = []
        for i in order.tolist():
            text = format_number(float(values[i]), scale if usable[i] else None)
            half = math.nan if halves is None else float(halves[i, j])
            spread = f" \u00b1 {format_number(half, scale, signed=False)}" if usable[i] and math.isfinite(half) else ""
            flag = "" if usable[i] else f" {matrix.flags[i, j]}"
            lines.append((matrix.corpora[i], f"{text}{spread}{flag}"))
        first = [f"{name} {said}" for name, said in lines[: min(_STRONGEST, int(usable.sum()))]]
        rows.append((test_set, *first, *[""] * (_STRONGEST - len(first))))
        listed = "\n".join(f"{name:<{width}}  {said}" for name, said in lines)
        lists.append(f"<details><summary>{escape(test_set)}</summary><pre>{escape(listed)}</pre></details>")
    head = ("test set", "strongest", *(f"{place}." for place in range(2, _STRONGEST + 1)))
    return (
        f"{table_html(head, rows)}<details><summary>All {matrix.values.size:,} influences by test set, sorted"
        "</summary>"
        f'<div class="lists">{"".join(lists)}</div></details>'
    )
