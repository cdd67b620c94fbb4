"""Methods by measures: every model of a judgement beside the retrained ones, as one table for a page or a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from lightning_untrac.results.examined import Examined, Line
from lightning_untrac.results.judged import JudgedModel, JudgedSet, Value, in_a_sentence
from lightning_untrac.results.measures import MeasureText, measure_text
from lightning_untrac.results.page import escape
from lightning_untrac.results.style import format_number, unit_title

NOTHING: Final = "\u2013"
"""Stands where nothing is known."""

LIKE: Final = "\u2248"
"""Marks what can't be told from the retrained models'."""

OF_TWO: Final = "as of two retrained models"

MEANING: Final = (
    f"{LIKE}: can't be told from the mean of the retrained models (the 95 % interval of the difference holds 0). "
    "\u00b1: half of a number's own 95 % interval. Both are over examples and retrained models. "
    "Knows more: which numbers say that a model knows a text better."
)


class Cell(NamedTuple):
    """A number of a model.

    Attributes:
        text: as it is shown.
        like: whether it can't be told from that of the retrained models.
    """

    text: str
    like: bool = False

    def __str__(self) -> str:
        """With its mark."""
        return f"{LIKE} {self.text}" if self.like else self.text


class MeasureRows(NamedTuple):
    """What one measure says of every model.

    Attributes:
        title: of the measure.
        unit: of its numbers, in words.
        rows: name of a model to a cell for each column; the retrained models are the last row.
        arrow: which numbers say that a model knows a text better; empty where neither do.
        ideal: what perfect unlearning would give, in words.
    """

    title: str
    unit: str
    rows: Sequence[tuple[str, Sequence[Cell]]]
    arrow: str = ""
    ideal: str = ""

    @property
    def head(self) -> str:
        """All of it in a line; of the ideal what stands before the first semicolon."""
        said = [f"{self.title} ({self.unit})" if self.unit else self.title]
        said += [f"{self.arrow} knows more"] if self.arrow else []
        said += [f"ideal: {self.ideal.partition(';')[0]}"] if self.ideal else []
        return ", ".join(said)


def measure_rows(judged: JudgedSet, columns: Sequence[str], examined: Sequence[Examined] = ()) -> list[MeasureRows]:
    """Means of every measure, the excess of every distance, and the main numbers of examinations.

    Args:
        judged: the models of one forget set.
        columns: names of datasets, or of groups of them.
        examined: examinations of the same models.
    """
    found, labels = [], judged.labels
    for measure in judged.scored:
        rows = [(name, [_mean(one, measure, dataset) for dataset in columns]) for name, one in _named(judged)]
        text = measure_text(measure)
        found.append(MeasureRows(text.title, unit_title(text.unit), rows, _arrow(text), text.ideal))
    for measure in judged.scored:
        rows = [(name, [_p_value(one, measure, dataset) for dataset in columns]) for name, one in _named(judged)]
        if any(cell.text != NOTHING for _, cells in rows for cell in cells):
            found.append(
                MeasureRows(f"Same distribution: {in_a_sentence(measure)}", "p-value of a KS test", rows, "", OF_TWO)
            )
    for measure in judged.measures if judged.retrained > 1 else ():
        rows = [
            (labels[one.model], [_excess(one.value(measure, name, "excess")) for name in columns])
            for one in judged.models
        ]
        shares = [judged.noise_share(measure, name) for name in columns]
        noise = ["\u2013" if share != share else f"0 \u00b1 {format_number(share, signed=False)}" for share in shares]
        rows.append(("two retrained", [Cell(said) for said in noise]))
        found.append(
            MeasureRows(f"Excess: {in_a_sentence(measure)}", "share of the original's distance", rows, "", "0")
        )
    return [*found, *(group for one in examined for group in _examined_rows(judged, columns, one))]


def _examined_rows(judged: JudgedSet, columns: Sequence[str], examined: Examined) -> Iterator[MeasureRows]:
    """The main numbers of an examination, of the models that have any."""
    by_number: dict[tuple[str, str, str, str], dict[str, Line]] = {}
    for line in examined.main(columns):
        by_number.setdefault((line.measure, line.statistic, line.condition, line.unit), {})[line.dataset] = line
    text = measure_text(examined.measure)
    for (measure, _, _, unit), lines in by_number.items():
        first, rows = next(iter(lines.values())), []
        for name, one in _named(judged):
            path = None if one is judged.together else one.model
            there = [lines.get(dataset) for dataset in columns]
            cells = [Cell(NOTHING if at is None else examined.shown(at, path)) for at in there]
            if any(cell.text != NOTHING for cell in cells):
                rows.append((name, cells))
        parts = (examined.title, "" if measure == examined.measure else in_a_sentence(measure), examined.words(first))
        # Of another number that it concludes nobody has said which values are good.
        said = (_arrow(text), text.ideal) if examined.is_own(first) else ("", "")
        if rows:
            yield MeasureRows(": ".join(part for part in parts if part), unit_title(unit), rows, *said)


def _arrow(text: MeasureText) -> str:
    return {"higher": "\u2191", "lower": "\u2193"}.get(text.direction, "")


def _named(judged: JudgedSet) -> list[tuple[str, JudgedModel]]:
    """All models, the retrained ones together as the last, with what they are called."""
    models = [*judged.models, *([] if judged.together is None else [judged.together])]
    return [(judged.labels[one.model], one) for one in models]


def _p_value(model: JudgedModel, measure: str, dataset: str) -> Cell:
    return Cell(model.value(measure, dataset, "ks_p_value").short.removeprefix("+"))


def _mean(model: JudgedModel, measure: str, dataset: str) -> Cell:
    number = model.value(measure, dataset, "mean").short.removeprefix("+")
    return Cell(number, model.is_like_retrained(measure, dataset))


def _excess(value: Value) -> Cell:
    return Cell(value.short, value.low <= 0 <= value.high)


def measures_table(judged: JudgedSet, examined: Sequence[Examined] = ()) -> str:
    """The table as markup, with what its marks mean.

    Args:
        judged: the models of one forget set.
        examined: examinations of the same models.
    """
    columns = judged.wide_columns
    groups = measure_rows(judged, columns, examined)
    if not groups:
        return ""
    said = {name: f"<br>{escape(role)}" for name, role in judged.roles.items()} | {judged.forget_set: "<br>forget set"}
    head = "<th>measure</th><th>knows<br>more</th><th>ideal</th><th>model</th>"
    head += "".join(f'<th class="n">{escape(name.strip("()"))}{said.get(name, "")}</th>' for name in columns)
    body = []
    for group in groups:
        for place, (name, cells) in enumerate(group.rows):
            title = f'{escape(group.title)}<br><span class="muted small">{escape(group.unit)}</span>'
            span = f'rowspan="{len(group.rows)}"'
            beside = (
                f'<td class="aim" {span}>{group.arrow or NOTHING}</td><td class="aim" {span}>{escape(group.ideal)}</td>'
            )
            first = f'<td class="group" {span}>{title}</td>{beside}' if place == 0 else ""
            last = ' class="total"' if place == len(group.rows) - 1 else ""
            numbers = "".join(f'<td class="n{" like" if one.like else ""}">{escape(one)}</td>' for one in cells)
            body.append(f"<tr{last}>{first}<td>{escape(name)}</td>{numbers}</tr>")
    note = f'<p class="muted small">{escape(MEANING)}</p>'
    table = f'<table class="dense"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{table}</div>{note}'
