"""The part of a report about what examinations found: a table, a picture and the numbers behind it, of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lightning_untrac.results.examined import Examined, Line
from lightning_untrac.results.examined_plot import save_examined_plots
from lightning_untrac.results.judged import JudgedSet
from lightning_untrac.results.judged_table import NOTHING
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.page import escape, picture_html, table_html
from lightning_untrac.results.style import unit_title
from lightning_untrac.tables.examinations import read_examination_summary
from lightning_untrac.tables.judged import RETRAINED

MEANING: Final = """<p>Something was done to each model, or to what it is asked, and it was read again. What an
examination says of an unlearned model stands among the reasons of its verdict above, and its main numbers in the table
of methods by measures.</p>"""

PLACES: Final = 9
"""Places of an axis that a table shows; the picture has all."""


def examined_section(
    every: Sequence[Examined], judged: Sequence[JudgedSet], drawn: Mapping[str, Mapping[str, Path]]
) -> str:
    """All examinations of all forget sets.

    Args:
        every: examinations.
        judged: the models of each forget set, which know what they are called.
        drawn: pictures by forget set and examination, see :func:`draw_examined`.
    """
    by_set = {one.forget_set: one for one in judged}
    parts = []
    for one in every:
        labels = by_set[one.forget_set].labels if one.forget_set in by_set else {}
        picture = drawn.get(one.forget_set, {}).get(one.name)
        beside = f", {one.forget_set}" if len({other.forget_set for other in every}) > 1 else ""
        parts.append(f"<h3>{escape(one.title + beside)}</h3>{_ideal(one)}")
        # What is said of unlearned models leads the page.
        unlearned = {model.model for model in by_set[one.forget_set].unlearned} if one.forget_set in by_set else set()
        parts += [f"<p>{escape(said)}</p>" for model, said in one.said.items() if model not in unlearned]
        if picture is not None:
            parts.append(picture_html(picture, f"{one.title}: a line a model, over the {one.axis}"))
        columns = by_set[one.forget_set].wide_columns if one.forget_set in by_set else []
        parts += [_others(one, labels, columns), _along(one, labels, shut=picture is not None)]
    return MEANING + "".join(parts) if parts else ""


def draw_examined(folder: Path, run: Mapping[str, Any]) -> dict[str, dict[str, Path]]:
    """Draw the examinations of all forget sets that have an axis; by forget set and examination.

    Args:
        folder: of the run.
        run: content of ``run.json``.

    Raises:
        ResultsError: if the table is damaged.
    """
    rows = read_examination_summary(folder)
    return {
        forget: save_examined_plots(folder, forget, [row for row in rows if row["forget_set"] == forget], run)
        for forget in dict.fromkeys(str(row["forget_set"]) for row in rows)
    }


def _ideal(one: Examined) -> str:
    text = measure_text(one.measure)
    said = [f"Ideal: {text.ideal}" if text.ideal else "", f"Can't tell {text.cannot_tell}" if text.cannot_tell else ""]
    said += [f"Source: {text.source}" if text.source else ""]
    shown = ". ".join(part for part in said if part)
    return f'<p class="muted small">{escape(shown)}.</p>' if shown else ""


def _models(one: Examined, labels: Mapping[str, str]) -> dict[str, str]:
    """Path to name of the models but the retrained ones, in the judgement's order."""
    there = [model for model, role in one.roles.items() if role != RETRAINED]
    known = [model for model in labels if model in there]
    return {model: labels.get(model, Path(model).name) for model in (*known, *(m for m in there if m not in known))}


def _title(one: Examined, line: Line) -> str:
    title, words = measure_text(line.measure).title, one.words(line)
    return f"{title}, {words}" if words else title


def _others(one: Examined, labels: Mapping[str, str], columns: Sequence[str]) -> str:
    """What the table of methods by measures leaves out, and has no place on an axis."""
    lines = one.others(columns)
    if not lines:
        return ""
    models = _models(one, labels)
    rows = [
        (_title(one, line), line.dataset.strip("()"), *(one.shown(line, model) for model in models),
         one.shown(line, None), unit_title(line.unit))
        for line in lines
    ]  # fmt: skip
    head = ("measure", "dataset", *models.values(), "retrained", "unit")
    table = table_html(head, rows, range(2, 3 + len(models)), "dense")
    return f"<details><summary>Other numbers</summary>{table}</details>"


def _along(one: Examined, labels: Mapping[str, str], *, shut: bool) -> str:
    """Means at the places of an axis: a row a model, a table a measure, dataset and condition."""
    groups: dict[tuple[str, str, str, str], list[Line]] = {}
    for line in one.along:
        groups.setdefault((line.measure, line.statistic, line.dataset, line.condition), []).append(line)
    tables = []
    for those in groups.values():
        lines = sorted(those, key=lambda line: line.at or 0.0)
        step = -(-len(lines) // PLACES)
        # The last place always stands: counted from there.
        shown = lines[::-1][::step][::-1]
        rows = [(name, *(one.shown(line, model) for line in shown))
                for model, name in _models(one, labels).items()]  # fmt: skip
        rows.append(("retrained", *(one.shown(line, None) for line in shown)))
        head = (f"{_title(one, shown[0])} on {shown[0].dataset.strip('()')}", *(f"{line.at:g}" for line in shown))
        tables.append(table_html(head, [row for row in rows if set(row[1:]) != {NOTHING}],
                                 range(1, len(head)), "dense"))  # fmt: skip
    if not tables:
        return ""
    axis = f'<p class="muted small">Columns: {escape(one.axis or "how much was done")}.</p>'
    return f"<details{'' if shut else ' open'}><summary>In numbers</summary>{axis}{''.join(tables)}</details>"
