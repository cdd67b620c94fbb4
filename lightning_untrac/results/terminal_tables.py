"""Tables of comparisons and of losses for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from lightning_untrac.results.comparison import MEAN
from lightning_untrac.results.comparison_notes import comparison_notes
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.style import MINUS, format_number, shorten_all
from lightning_untrac.results.terminal import GAP, FixedWidth, new_table

if TYPE_CHECKING:
    import pyarrow as pa


Rows = list[list[Text]]


def _fixed(
    title: str, heads: list[str], groups: list[tuple[str, Rows]], left: int, width: int | None
) -> RenderableType:
    """A table whose first ``left`` columns are names, which give way where the width is small.

    Args:
        title: above it.
        heads: of the columns.
        groups: rows, and what stands in bold above them if anything.
        left: how many columns are names.
        width: of the terminal.
    """
    rows = [row for _, of_group in groups for row in of_group]
    widths = [max(cell_len(head), *(row[i].cell_len for row in rows), 0) for i, head in enumerate(heads)]
    room = (width or 10**6) - sum(w + GAP for w in widths[left:]) - left * GAP
    for i in range(left):
        if widths[i] > (share := max(10, room // left)):
            short = shorten_all(list(dict.fromkeys(row[i].plain for row in rows)), share)
            for row in rows:
                row[i] = Text(short[row[i].plain], style=row[i].style)
            widths[i] = max(cell_len(heads[i]), *(row[i].cell_len for row in rows))

    def table_of(chosen: Rows, heads_shown: bool) -> FixedWidth:
        table = new_table()
        table.show_header = heads_shown
        for i, head in enumerate(heads):
            table.add_column(Text(head), justify="left" if i < left else "right", width=widths[i], no_wrap=True)
        for row in chosen:
            table.add_row(*row)
        return FixedWidth(table)

    named = any(name for name, _ in groups)
    parts: list[RenderableType] = [Text(title, style="italic"), ""]
    if named or not groups:
        parts.append(table_of([], True))
    for name, of_group in groups:
        parts += [Text(name, style="bold"), table_of(of_group, False)] if named else [table_of(of_group, True)]
    return Group(*parts)


def comparison_table(comparison: pa.Table, width: int | None = None) -> RenderableType:
    """How well methods agree with the reference, for the terminal.

    Args:
        comparison: Rows of ``COMPARISON_SCHEMA``.
        width: Of the terminal, in columns; None where there is room for everything.

    Returns:
        The table, with the notes below it.
    """
    records = comparison.to_pylist()
    reference = method_title(records[0]["reference"]).lower() if records else "the reference"
    groups: dict[str, Rows] = {}
    for record in records:
        groups.setdefault(method_title(record["method"]), []).append(_comparison_row(record))
    heads = ["test set", "Pearson [95% CI]", "Spearman", "top 1", "corpora", "seeds"]
    table = _fixed(f"Agreement with {reference}", heads, list(groups.items()), 1, width)
    return Group(table, "", Text("\n".join(comparison_notes(comparison)), style="dim italic"))


def _comparison_row(record: dict[str, Any]) -> list[Text]:
    low, high = _plain(record["ci_low"]), _plain(record["ci_high"])
    style = "italic" if record["test_set"] == MEAN else ""
    pearson = _plain(record["pearson"])
    top1 = record["top1"]
    cells = (
        f" {record['test_set']}",
        f"{pearson} [{low} to {high}]" if low != high else pearson,
        _plain(record["spearman"]),
        "\u2013" if top1 is None or top1 != top1 else f"{top1:.0%}",
        str(record["num_corpora"]),
        str(record["num_seeds"]),
    )
    return [Text(cell, style=style) for cell in cells]


def _plain(value: float | None) -> str:
    return "\u2013" if value is None or value != value else f"{value:.2f}".replace("-", MINUS)


def losses_table(losses: pa.Table, width: int | None = None) -> RenderableType:
    """The losses that ``untrac evaluate`` measured, for the terminal.

    Args:
        losses: Rows of ``LOSSES_SCHEMA``.
        width: Of the terminal, in columns; None where there is room for everything.

    Returns:
        The table; the columns of the reference are there only if there is one, that of the model only if there are
        several.
    """
    records = losses.to_pylist()
    models = dict.fromkeys(record["model"] for record in records)
    several = len(models) > 1
    referenced = any(record["reference_loss"] is not None for record in records)
    heads = [*(["model"] if several else []), "dataset", "loss", "mean of examples"]
    heads += [*(["reference", "difference"] if referenced else []), "tokens", "examples"]
    rows = []
    for record in records:
        cells = [*([record["model"]] if several else []), record["dataset"]]
        cells += [format_number(record["loss"], signed=False), format_number(record["example_loss"], signed=False)]
        if referenced:
            cells += [format_number(record["reference_loss"], signed=False)]
            cells += [format_number(record["difference"], record["loss"])]
        rows.append([Text(cell) for cell in (*cells, f"{record['num_tokens']:,}", f"{record['num_examples']:,}")])
    title = "Loss in nats per token" + (f" of {next(iter(models))}" if len(models) == 1 else "")
    return _fixed(title, heads, [("", rows)], 2 if several else 1, width)
