"""What was predicted of an unlearning run's cost, held against what came."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lightning_untrac.results.measured import Measured, UnlearningRun
from lightning_untrac.results.measured_sections import run_title
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.style import format_number

AT_RISK: Final = 0.1
"""A predicted rise of a loss, for each unit that the forget set's rises, from which a dataset is at risk."""

_MEANING = """<p class="muted small">Predicted: by how much a loss rises while that of the forget set rises by 1, from
gradients before the first step (g &middot; g_f / g_f &middot; g_f). A retain term and healing work against it, and the
prediction does not know them. Came: the change of the loss, at the reading where that of the forget set was highest,
and at the end. Rank correlations are over the datasets but the forget set.</p>"""


def predicted_section(run: Mapping[str, Any], measured: Measured) -> str:
    """A table for each run that was predicted.

    Args:
        run: content of ``run.json``, whose ``predicted`` holds rows by stage; another form is passed over.
        measured: all of a folder.
    """
    told = run.get("predicted")
    parts = []
    for entry in told.values() if isinstance(told, Mapping) else ():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("rows"), Sequence):
            continue
        key = (entry.get("method"), entry.get("forget_set"), entry.get("seed"))
        for one in measured.runs:
            if (one.method, one.forget_set, one.seed) == key:
                rises = {str(r.get("dataset")): r for r in entry["rows"] if isinstance(r, Mapping)}
                parts.append(f"<h3>{escape(run_title(one))}</h3>{_table(one, rises)}")
    return _MEANING + "".join(parts) if parts else ""


def _table(run: UnlearningRun, told: Mapping[str, Mapping[str, Any]]) -> str:
    from lightning_untrac.functional.correlation import spearman

    measure = next((name for name in run.measures if measure_text(name).forgetting > 0), None)
    curve = run.curves.get((measure, run.forget_set)) if measure and run.forget_set else None
    if measure is None or not curve:
        return ""
    peak = max(range(len(curve)), key=lambda place: curve[place].value)
    rows, pairs = [], []
    for name, row in told.items():
        readings = run.curves.get((measure, name))
        if not readings or len(readings) != len(curve):
            continue
        came = [readings[place].value - readings[0].value for place in (peak, -1)]
        rise, influence = (row.get(key) for key in ("rise", "influence"))
        numbers = [number if isinstance(number, float) else math.nan for number in (rise, influence)]
        rows.append((name, *map(format_number, (*numbers, *came))))
        if math.isfinite(numbers[0]):
            pairs.append((numbers[0], *came))
    if not rows:
        return ""
    predicted, *ends = zip(*pairs, strict=True) if pairs else ((), (), ())
    said = " and ".join(
        f"{format_number(spearman(predicted, end))} {where}"
        for end, where in zip(ends, ("where the forget set's loss was highest", "at the end"), strict=True)
    )
    ranks = f"<p>Rank correlation (n = {len(pairs)}): {said}.</p>" if len(pairs) > 2 else ""  # of two it is 1 or -1
    head = ("dataset", "predicted", "influence by trace", "came, at its highest", "came, at the end")
    return f"{ranks}{table_html(head, rows, range(1, 5))}"
