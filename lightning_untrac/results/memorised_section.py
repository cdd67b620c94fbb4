"""The part of a report about the memorisation of single sequences: counts, measures, and the sequences with texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import (
    MemorisedModel,
    MemorisedSet,
    shown_value,
    statistic_title,
    survivors_anchor,
)
from lightning_untrac.results.memorised_steps import ForgettingSteps, steps_tables
from lightning_untrac.results.page import escape, picture_html, table_html
from lightning_untrac.results.style import format_number, with_unit
from lightning_untrac.tables.memorisation import OVER_FORGOTTEN, SURVIVOR

LISTED: Final = 12
"""Sequences of a side that the page lists; the table has all."""

MEANING: Final = """
<p>Sequences are memorised to different degrees, and a mean hides those that survive. Here each sequence is held
against the level of unseen text, two standard deviations on each side: a <strong>survivor</strong> is known better, an
<strong>over-forgotten</strong> one is known worse, which tells whoever looks that it was there. By default the level is
what the retrained models know of the very same sequence, give or take what differs between them. Of text that was never
seen about one in twenty stands outside by chance; of the retrained models fewer, because the level is made of them.
GenEx, RelEx and difficulty are readings of a paper whose text could not be had.</p>
"""


def memorised_section(
    every: Sequence[MemorisedSet],
    drawn: Mapping[str, Path],
    steps: Sequence[ForgettingSteps] = (),
    privacy: Path | None = None,
    curves: Mapping[str, Path] | None = None,
) -> str:
    """Pictures, measures and lists of each forget set; how many survive leads the page.

    Args:
        every: a forget set each.
        drawn: pictures by forget set.
        steps: how each model forgot its set.
        privacy: the picture of privacy against utility, of all sets together.
        curves: ROC curves by forget set.
    """
    parts = [picture_html(privacy, "Privacy against utility, step by step")] if privacy is not None and every else []
    for memorised in every:
        if len(every) > 1:
            parts.append(f"<h3>{escape(memorised.forget_set)}</h3>")
        if (path := drawn.get(memorised.forget_set)) is not None:
            parts.append(picture_html(path, f"Each sequence of {memorised.forget_set} before and after"))
        if (path := (curves or {}).get(memorised.forget_set)) is not None:
            parts.append(picture_html(path, f"ROC of attacks that tell {memorised.forget_set} from unseen text"))
        mine = [one for one in steps if one.forget_set == memorised.forget_set]
        parts += [_measures(memorised), steps_tables(mine), *(_lists(memorised, one) for one in memorised.models)]
    return MEANING + "".join(parts) if parts else ""


def _measures(memorised: MemorisedSet) -> str:
    """A row a measure and statistic, a column a model."""
    rows = []
    for measure, statistic in memorised.cells:
        text = measure_text(measure)
        values = [shown_value(statistic, one.value(measure, statistic)) for one in memorised.models]
        retrained = shown_value(statistic, memorised.mean_retrained(measure, statistic))
        title = with_unit(text.title, memorised.unit(measure, statistic))
        rows.append((title, statistic_title(statistic), *values, retrained))
    names = [one.name for one in memorised.models]
    count = len(memorised.retrained)
    head = ("measure", "", *names, "retrained" if count == 1 else f"{count} retrained (least to most)")
    shown = table_html(head, rows, range(2, 3 + len(names)))
    return f'{shown}<p class="muted small">Numbers of sequences, and means with 95 % intervals.</p>'


def _lists(memorised: MemorisedSet, model: MemorisedModel) -> str:
    """Both sides of a model's outliers."""
    parts = []
    for side, title in ((SURVIVOR, "survivors"), (OVER_FORGOTTEN, "over-forgotten")):
        if rows := model.listed(side):
            more = f", of {len(rows)} the {LISTED} farthest from unseen text" if len(rows) > LISTED else ""
            name = f' id="{escape(survivors_anchor(memorised.forget_set, model.name))}"' if side == SURVIVOR else ""
            parts.append(f"<h4{name}>{escape(model.name)}: {title}{more}</h4>{_list(memorised, rows[:LISTED])}")
    return "".join(parts)


def _list(memorised: MemorisedSet, rows: Sequence[Mapping[str, Any]]) -> str:
    title = measure_text(memorised.counted).title.lower()
    head = ["sequence", f"{title}, before \u2192 now", "unseen text", "retrained", "GenEx (nats)"]
    cells = [
        [
            row["example"],
            " \u2192 ".join(format_number(row[key], signed=False) for key in ("original", "value")),
            f"{format_number(row['level_low'], signed=False)} to {format_number(row['level_high'], signed=False)}",
            format_number(row["retrained"], signed=False),
            format_number(row["genex"]),
            row["text"] or "",
        ]
        for row in rows
    ]
    if not any(row[-1] for row in cells):
        return table_html(head, [row[:-1] for row in cells], range(len(head)))
    return table_html([*head, "begins with"], cells, range(len(head)))
