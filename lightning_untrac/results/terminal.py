"""Tables of results for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lightning_untrac.results.chance import chance_title, verdicts
from lightning_untrac.results.comparison import MEAN, comparison_notes
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.narrative import plain
from lightning_untrac.results.style import format_number, scale_of, unit_title

if TYPE_CHECKING:
    import pyarrow as pa

    from lightning_untrac.results.uncertainty import InfluenceIntervals

_CELL_WIDTH = 19
"""Columns of a number with its interval."""

_FLAGS = {"collapsed": "collapsed", "nonfinite": "not finite", "missing": "not read"}


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def matrix_table(
    matrix: InfluenceMatrix, intervals: InfluenceIntervals | None = None, width: int | None = None
) -> Table:
    """A matrix for the terminal: corpora as rows, the strongest of each test set in bold with an arrow.

    Args:
        matrix: K corpora x M test sets.
        intervals: Its intervals, if it has any; half of each stands beside the number, where there is room.
        width: Of the terminal, in columns; None where there is room for everything.

    Returns:
        The table; flagged cells say what is wrong with them, and verdicts stand below.
    """
    longest = max(map(len, matrix.corpora))
    room = width is None or longest + _CELL_WIDTH * len(matrix.test_sets) <= width
    seeds = "one seed" if matrix.num_seeds == 1 else f"mean of {matrix.num_seeds} seeds"
    table = _table(f"{method_title(matrix.method)}: influence in {unit_title(matrix.unit)} ({seeds})")
    table.add_column("corpus", overflow="fold")
    for name in matrix.test_sets:
        table.add_column(Text(name, overflow="fold"), justify="right")
    strongest = matrix.strongest()
    scales = [scale_of(matrix.values[matrix.usable[:, j], j]) for j in range(len(matrix.test_sets))]
    for i, corpus in enumerate(matrix.corpora):
        cells = [Text(corpus)]
        for j, scale in enumerate(scales):
            flag = str(matrix.flags[i, j])
            value = float(matrix.values[i, j])
            text = format_number(value, scale if flag == "ok" else None)
            if room and intervals is not None and intervals.known[i, j]:
                text += f" \u00b1 {format_number(float(intervals.half_widths[i, j]), scale, signed=False)}"
            if flag != "ok":
                cells.append(Text(f"{text}\n{_FLAGS.get(flag, flag)}", style="yellow"))
            elif corpus == strongest[j]:
                cells.append(Text(f"\u25b8 {text}", style="bold red" if value > 0 else "bold"))
            else:
                cells.append(Text(text, style="blue" if value < 0 else ""))
        table.add_row(*cells)
    caption = "\u25b8 strongest of its column. Positive: the corpus helps the model to produce the test set."
    if (~matrix.usable).any():
        caption += " Flagged cells are not to be trusted."
    if intervals is not None:
        what = "\u00b1 half of a 95 % interval" if room else "95 % intervals (in the report; there is no room here)"
        caption += f"\n{what} from {chance_title(intervals)}."
        if said := verdicts(intervals):
            caption += " By these intervals:" + "".join(f"\n- {plain(sentence)}" for sentence in said)
    table.caption = Text(caption)
    return table


def comparison_table(comparison: pa.Table) -> Table:
    """How well methods agree with the reference, for the terminal.

    Args:
        comparison: Rows of ``COMPARISON_SCHEMA``.

    Returns:
        The table, with the notes below it.
    """
    rows = comparison.to_pylist()
    reference = method_title(rows[0]["reference"]).lower() if rows else "the reference"
    table = _table(f"Agreement with {reference}")
    table.add_column("test set", overflow="fold")
    for name in ("Pearson [95% CI]", "Spearman", "top 1", "corpora", "seeds"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    previous = None
    for row in rows:
        if row["method"] != previous:
            if previous is not None:
                table.add_section()
            table.add_row(Text(method_title(row["method"]), style="bold"))
        previous = row["method"]
        low, high = _plain(row["ci_low"]), _plain(row["ci_high"])
        table.add_row(
            Text(f" {row['test_set']}"),
            Text(f"{_plain(row['pearson'])} [{low} to {high}]" if low != high else _plain(row["pearson"])),
            _plain(row["spearman"]),
            "\u2013" if row["top1"] is None or row["top1"] != row["top1"] else f"{row['top1']:.0%}",
            str(row["num_corpora"]),
            str(row["num_seeds"]),
            style="italic" if row["test_set"] == MEAN else "",
        )
    table.caption = Text("\n".join(comparison_notes(comparison)))
    return table


def _plain(value: float | None) -> str:
    return "\u2013" if value is None or value != value else f"{value:.2f}".replace("-", "\u2212")


def losses_table(losses: pa.Table) -> Table:
    """The losses that ``untrac evaluate`` measured, for the terminal.

    Args:
        losses: Rows of ``LOSSES_SCHEMA``.

    Returns:
        The table; the columns of the reference are there only if there is one, that of the model only if there are
        several.
    """
    rows = losses.to_pylist()
    models = dict.fromkeys(row["model"] for row in rows)
    table = _table("Loss in nats per token" + (f" of {next(iter(models))}" if len(models) == 1 else ""))
    referenced = any(row["reference_loss"] is not None for row in rows)
    if len(models) > 1:
        table.add_column("model")
    table.add_column("dataset", no_wrap=True)
    for name in (
        "loss",
        "mean of examples",
        *(("reference", "difference") if referenced else ()),
        "tokens",
        "examples",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        reference = (
            (format_number(row["reference_loss"], signed=False), format_number(row["difference"], row["loss"]))
            if referenced
            else ()
        )
        table.add_row(
            *([Text(row["model"])] if len(models) > 1 else []),
            Text(row["dataset"]),
            format_number(row["loss"], signed=False),
            format_number(row["example_loss"], signed=False),
            *reference,
            f"{row['num_tokens']:,}",
            f"{row['num_examples']:,}",
        )
    return table
