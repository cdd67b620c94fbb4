"""What came back with unlearning, of what the forget set had overwritten: sentences and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from lightning_untrac.results.judged import JudgedSet, Value, in_a_sentence
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.style import format_number, unit_title, with_unit

MEANING: Final = """<p class="muted small">A forget set may have overwritten what other data taught: a retrained model
then knows them better than the original. Shown is the share of that gain which came back with unlearning:
(S_unlearned \u2212 S_original) / (S_retrained \u2212 S_original), our reading of RESTOR; 0 % is the original, 100 % a
retrained model, below 0 what unlearning broke. Only where the gain's 95 % interval begins above 0. Retraining takes as
many steps without the forget set, so that it sees the rest more often, and a retain term and healing teach the rest as
well: look at what the forget set contradicts, and at what nothing has trained on.</p>"""


def gains(judged: JudgedSet, measure: str) -> dict[str, Value]:
    """Datasets (and groups of them) to how much better a retrained model knows them, of those where that is known.

    Args:
        judged: the models of one forget set.
        measure: which says what knowing better is.
    """
    if judged.together is None:
        return {}
    found = {name: judged.together.value(measure, name, "gain") for name in judged.datasets}
    return {name: gain for name, gain in found.items() if math.isfinite(gain.value)}


def recovered_answers(judged: JudgedSet) -> list[str]:
    """What came back, by the first measure that says what knowing better is: a sentence a column of the table.

    Args:
        judged: the models of one forget set.
    """
    measure = next((name for name in judged.scored if gains(judged, name)), None)
    if measure is None:
        return []
    found, unit = gains(judged, measure), unit_title(measure_text(measure).unit)
    better = [name for name in judged.wide_columns if name in found and found[name].low > 0]
    if not better:
        return [
            f"Nothing to come back: what is retained is not known measurably better by models retrained without "
            f"{judged.forget_set} than by the original ({in_a_sentence(measure)})."
        ]
    said = []
    for name in better:
        back = [
            f"{judged.labels[one.model]} {share_text(one.value(measure, name, 'recovered'))}"
            for one in judged.unlearned
        ]
        gain = f"{found[name].short} {unit}".strip()
        said.append(
            f"Retraining without {judged.forget_set} gains {gain} on {name.strip('()')} ({in_a_sentence(measure)}); of "
            f"that came back: {', '.join(back)}."
        )
    return said


def share_text(share: Value) -> str:
    """A share in percent with its interval."""
    if not math.isfinite(share.value):
        return "\u2013"
    value, *ends = (_percent(number) for number in share)
    return f"{value} % ({ends[0]} to {ends[1]})" if math.isfinite(share.low + share.high) else f"{value} %"


def _percent(share: float) -> str:
    return format_number(round(share * 100), max(100.0, abs(share * 100)), signed=False)


def recovered_section(judged: JudgedSet) -> str:
    """A table with a row for each dataset that retrained models know better than the original, and for each measure.

    Args:
        judged: the models of one forget set.
    """
    tables, none = [], dict[str, list[str]]()
    for measure in judged.scored:
        text, rows = measure_text(measure), []
        for name, gain in gains(judged, measure).items():
            if not gain.low > 0:
                none.setdefault(name, []).append(in_a_sentence(measure))
                continue
            shares = [share_text(one.value(measure, name, "recovered")) for one in judged.unlearned]
            rows.append((name.strip("()"), gain.short, *shares))
        head = (with_unit(text.title, text.unit), "retrained gains")
        labels = [judged.labels[one.model] for one in judged.unlearned]
        if rows:
            tables.append(table_html((*head, *labels), rows, range(1, 2 + len(labels)), "dense"))
    if not tables and not none:
        return ""
    rest = f"<details><summary>By other measures</summary>{''.join(tables[1:])}</details>" if tables[1:] else ""
    return f"<h4>What came back</h4>{MEANING}{''.join(tables[:1])}{_without(none)}{rest}"


def _without(none: dict[str, list[str]]) -> str:
    """Where there was nothing to come back."""
    if not none:
        return ""
    by_measures: dict[str, list[str]] = {}
    for name, measures in none.items():
        by_measures.setdefault(" and ".join(_listed(measures)), []).append(name.strip("()"))
    said = "; ".join(f"{', '.join(names)} (by {measures})" for measures, names in by_measures.items())
    return f'<p class="small">Not measurably better when retrained: {escape(said)}.</p>'


def _listed(names: Sequence[str]) -> list[str]:
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names)
