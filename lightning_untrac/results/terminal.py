"""Tables of influences for the terminal, in blocks of columns that fit its width."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lightning_untrac.console import console
from lightning_untrac.results.chance import chance_title, findings, sign_title
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_text, method_title
from lightning_untrac.results.sentence import plain
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import format_number, scale_of, shorten_all, unit_title

if TYPE_CHECKING:
    from lightning_untrac.results.uncertainty import InfluenceIntervals

LOG_WIDTH: Final = 100
"""Columns of tables that go into a file or a pipe."""

GAP: Final = 2
"""Spaces between columns: the box draws one of them."""

_SMALLEST: Final = 10
"""A name is not cut below this many letters."""

_LONGEST_HEAD: Final = 20
"""Letters of a test set's name above its column."""

_MANY_CORPORA: Final = 40
"""Of more corpora than this the terminal shows the strongest of each test set only."""

_STRONGEST: Final = 5
_VERDICTS: Final = 12


def result_console() -> Console:
    """A console for tables: as wide as the terminal, or :data:`LOG_WIDTH` (or ``COLUMNS``) where there is none.

    Without a terminal at its output, rich would take the width of the one at its input, if any.
    """
    terminal = console()
    if terminal.is_terminal or terminal.is_jupyter or os.environ.get("COLUMNS", "").isdigit():
        return terminal
    return console(width=LOG_WIDTH)


def new_table() -> Table:
    """An empty table in the look of all of them."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)


class FixedWidth:
    """A table that takes the width it needs: a number that is cut in half would be another number.

    Args:
        table: with columns of fixed widths.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: object) -> Iterable[RenderableType]:
        needed = sum((column.width or 0) + GAP for column in self.table.columns)
        yield from console.render(self.table, console.options.update(width=max(needed, console.width)))  # type: ignore[misc]


def blocks_of(widths: Sequence[int], room: int) -> list[range]:
    """Which columns stand beside each other, and which below.

    Args:
        widths: of the columns, with their gaps.
        room: for all of them.

    Returns:
        Ranges of columns, each at least one column wide.

    >>> blocks_of([5, 5, 5, 20], 12)
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    blocks, start, taken = [], 0, 0
    for index, width in enumerate(widths):
        if index > start and taken + width > room:
            blocks.append(range(start, index))
            start, taken = index, 0
        taken += width
    return [*blocks, range(start, len(widths))]


def matrix_table(
    matrix: InfluenceMatrix, intervals: InfluenceIntervals | None = None, width: int | None = None
) -> RenderableType:
    """A matrix for the terminal: corpora as rows, the strongest of each test set in bold with an arrow.

    Args:
        matrix: K corpora x M test sets.
        intervals: Its intervals, if it has any; half of each stands beside the number.
        width: Of the terminal, in columns; what does not fit beside goes below. None where there is room for
            everything.

    Returns:
        The table; flagged cells say what is wrong with them, and verdicts stand below. Of many corpora only the
        strongest of each test set are shown.
    """
    seeds = "one seed" if matrix.num_seeds == 1 else f"mean of {matrix.num_seeds} seeds"
    title = Text(f"{method_title(matrix.method)}: influence in {unit_title(matrix.unit)} ({seeds})", style="italic")
    many = len(matrix.corpora) > _MANY_CORPORA
    room = width or 10**6
    parts = _strongest(matrix, room) if many else _blocks(matrix, intervals, room)
    return Group(title, "", *parts, Text(_caption(matrix, intervals, many), style="dim italic"))


def _blocks(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None, room: int) -> list[RenderableType]:
    cells = [_column(matrix, intervals, j) for j in range(len(matrix.test_sets))]
    heads = list(shorten_all(matrix.test_sets, _LONGEST_HEAD).values())
    widths = [max(len(head), *(_width(cell) for cell in column)) for head, column in zip(heads, cells, strict=True)]
    # Names give way so that at least one column stands beside them, and no further than they can be told apart.
    names_width = max(
        _SMALLEST, min(max(map(len, matrix.corpora)), max(room // 3, room - sum(widths) - len(widths) * GAP - GAP))
    )
    names = shorten_all(matrix.corpora, names_width)
    names_width = max(map(cell_len, (*names.values(), "corpus")))
    parts: list[RenderableType] = []
    for block in blocks_of([w + GAP for w in widths], room - names_width - GAP):
        table = new_table()
        table.add_column("corpus", width=names_width, no_wrap=True)
        for j in block:
            table.add_column(Text(heads[j]), justify="right", width=widths[j], no_wrap=True)
        for i, corpus in enumerate(matrix.corpora):
            table.add_row(Text(names[corpus]), *(cells[j][i] for j in block))
        parts += [FixedWidth(table), ""]
    return parts


def _column(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None, j: int) -> list[Text]:
    """The cells of a test set."""
    scale = scale_of(matrix.values[matrix.usable[:, j], j])
    strongest = matrix.strongest()[j]
    column = []
    for i, corpus in enumerate(matrix.corpora):
        flag, value = str(matrix.flags[i, j]), float(matrix.values[i, j])
        text = format_number(value, scale if flag == "ok" else None)
        if flag != "ok":
            column.append(Text(f"{text}\n{FLAG_TITLES.get(flag, flag)}", style="yellow"))
            continue
        if intervals is not None and intervals.known[i, j]:
            text += f" \u00b1 {format_number(float(intervals.half_widths[i, j]), scale, signed=False)}"
        if corpus == strongest:
            column.append(Text(f"\u25b8 {text}", style="bold red" if value > 0 else "bold"))
        else:
            column.append(Text(text, style="blue" if value < 0 else ""))
    return column


def _width(cell: Text) -> int:
    return max(map(cell_len, cell.plain.splitlines()))


def _strongest(matrix: InfluenceMatrix, room: int) -> list[RenderableType]:
    """The strongest corpora of each test set, a line each."""
    heads = list(shorten_all(matrix.test_sets, _LONGEST_HEAD).values())
    test_width = max(map(len, (*heads, "test set")))
    shown = max(1, min(_STRONGEST, (room - test_width) // 24))
    names_width = max(_SMALLEST, min(max(map(len, matrix.corpora)), (room - test_width - GAP) // shown - 11))
    names = shorten_all(matrix.corpora, names_width)
    table = new_table()
    table.add_column("test set", width=test_width, no_wrap=True)
    rows = []
    for j, head in enumerate(heads):
        if not matrix.strongest()[j]:
            rows.append([head, "no verdict", *[""] * (shown - 1)])
            continue
        usable = matrix.usable[:, j]
        order = np.argsort(-np.where(usable, matrix.values[:, j], -np.inf), kind="stable")[: min(shown, usable.sum())]
        scale = scale_of(matrix.values[usable, j])
        said = [f"{names[matrix.corpora[i]]} {format_number(float(matrix.values[i, j]), scale)}" for i in order]
        rows.append([head, *said, *[""] * (shown - len(said))])
    for place in range(1, shown + 1):
        longest = max(len(row[place]) for row in rows)
        table.add_column("strongest" if place == 1 else f"{place}.", width=max(longest, 9), no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return [FixedWidth(table), ""]


def _caption(matrix: InfluenceMatrix, intervals: InfluenceIntervals | None, many: bool) -> str:
    caption = "Positive: the corpus helps the model to produce the test set."
    if not method_text(matrix.method).signed:
        caption += f" Negative: {sign_title(matrix)[1]}."
    if many:
        caption = (
            f"The strongest of {len(matrix.corpora)} corpora for each test set; influence.parquet and the report hold "
            f"all {matrix.values.size:,} influences. {caption}"
        )
    elif any(matrix.strongest()):
        caption = f"\u25b8 strongest of its column. {caption}"
    if flagged := int((~matrix.usable).sum()):
        caption += (
            f" {flagged} flagged cells are not to be trusted." if many else " Flagged cells are not to be trusted."
        )
    if intervals is not None:
        what = "95 % intervals (in the report)" if many else "\u00b1 half of a 95 % interval"
        caption += f"\n{what} from {chance_title(intervals)}. By these intervals:"
    said = [plain(sentence) for sentence in findings(matrix, intervals)]
    shown = said[:_VERDICTS] if many else said
    caption += "".join(f"\n- {sentence}" for sentence in shown)
    if more := len(said) - len(shown):
        caption += f"\n- and of {more} more test sets in the report."
    return caption
