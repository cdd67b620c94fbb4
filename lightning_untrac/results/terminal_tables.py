"""Tables of comparisons and of measures for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from lightning_untrac.naming import counted
from lightning_untrac.results.comparison import MEAN
from lightning_untrac.results.comparison_notes import comparison_notes
from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.judged_table import MEANING, measure_rows
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import MINUS, format_number, shorten_all, with_unit
from lightning_untrac.results.terminal import GAP, FixedWidth, new_table

if TYPE_CHECKING:
    import pyarrow as pa


Rows = list[list[Text]]


def fixed_table(
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
    table = fixed_table(f"Agreement with {reference}", heads, list(groups.items()), 1, width)
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


def summary_table(
    rows: list[dict[str, Any]], width: int | None = None, names: tuple[str, str] = ("before", "after")
) -> RenderableType:
    """What ``untrac evaluate`` or ``untrac unlearn`` measured, for the terminal.

    Args:
        rows: Rows of ``SUMMARY_SCHEMA`` as plain values, of one model, or of two: before and after, or a reference and
            the model that is held against it.
        width: Of the terminal, in columns; None where there is room for everything.
        names: What the two models are called, where there are two.

    Returns:
        A row a measure and dataset: the mean and half of its interval's width; where there are two models both means
        and the change.
    """
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["dataset"], row["measure"], row["statistic"]), []).append(row)
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    measures = list(dict.fromkeys(row["measure"] for row in rows if row["statistic"] == "mean"))
    several = any(len(those) > 1 for those in found.values())
    weighed, of = (_units(rows, statistic) for statistic in ("weight", "count"))
    heads = ["dataset", *((*names, "change") if several else ("mean", "\u00b1"))]
    heads += [weighed[0] if len(weighed) == 1 else "counted", of[0] if len(of) == 1 else "measured in"]
    groups = []
    for measure in measures:
        text = measure_text(measure)
        lines = []
        for dataset in datasets:
            cells = _means(found.get((dataset, measure, "mean"), []), several)
            for statistic, units in (("weight", weighed), ("count", of)):
                counts = found.get((dataset, measure, statistic), [])
                unit = f" {counts[-1]['unit']}" if counts and len(units) > 1 else ""
                cells.append(f"{counts[-1]['value']:,.0f}{unit}" if counts else "\u2013")
            lines.append([Text(cell) for cell in (dataset, *cells)])
            if worst := found.get((dataset, measure, "worst_in_group")):
                lines.append([Text(cell) for cell in ("  worst in group", *_means(worst, several), "", "")])
        groups.append((with_unit(text.title, text.unit), lines))
    return fixed_table(f"Means over the {' or '.join(weighed) or 'examples'} of each dataset", heads, groups, 1, width)


def _means(rows: list[dict[str, Any]], several: bool) -> list[str]:
    """The cells of one statistic: of two models both and the change, else the value and half of its interval."""
    first, last = (rows[0], rows[-1]) if rows else (None, None)
    after = last if len(rows) > 1 else None
    return [_value(first), *((_value(after), _change(first, after)) if several else (_half(first),))]


def judged_table(judged: JudgedSet, width: int | None = None) -> RenderableType:
    """What was measured of each model, and its excess over the noise of retraining, for the terminal.

    Args:
        judged: the models of one forget set.
        width: Of the terminal, in columns; None where there is room for everything.

    Returns:
        For each measure a row a model, and one for the retrained models; a column for the forget set and for each group
        of datasets.
    """
    groups = []
    for group in measure_rows(judged, judged.columns):
        lines = [[Text(name), *(Text(str(one)) for one in cells)] for name, cells in group.rows]
        groups.append((group.head, lines))
    title = f"Beside {counted(judged.retrained, 'model')} retrained without {judged.forget_set}"
    table = fixed_table(title, ["model", *judged.columns], groups, 1, width)
    return Group(table, "", Text(MEANING, style="dim italic"))


def _units(rows: list[dict[str, Any]], statistic: str) -> list[str]:
    return list(dict.fromkeys(row["unit"] for row in rows if row["statistic"] == statistic))


def _value(row: dict[str, Any] | None) -> str:
    if row is None:
        return "\u2013"
    flag = "" if row["status"] == "ok" else f" {FLAG_TITLES.get(row['status'], row['status'])}"
    return format_number(row["value"], signed=False) + flag


def _half(row: dict[str, Any] | None) -> str:
    if row is None or row["ci_low"] is None or row["ci_high"] is None:
        return "\u2013"
    return format_number((row["ci_high"] - row["ci_low"]) / 2, row["value"], signed=False)


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if before is None or after is None:
        return "\u2013"
    return format_number(after["value"] - before["value"], before["value"])
