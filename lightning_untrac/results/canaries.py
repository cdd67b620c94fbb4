"""What canaries by coin flip prove of a model, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number

EPSILON: Final = "epsilon_at_least"
WRONG: Final = "canaries_wrong"
"""Statistics of a measure on canaries that a coin let into training."""


def canary_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each measure that tells canaries apart, of the last reading.

    Args:
        rows: of ``summary.parquet``.

    Example:
        >>> row = {"measure": "my_own", "dataset": "a", "statistic": "epsilon_at_least", "value": 0.5, "unit": ""}
        >>> canary_lines([row, {**row, "statistic": "canaries_wrong", "value": 13.0, "unit": "of 50"}])
        ['a: epsilon is at least 0.500 with 95 % confidence by my_own (13 of 50 guesses were wrong)']
    """
    last = {(row["measure"], row["dataset"], row["statistic"]): row for row in rows}
    lines = []
    for (measure, dataset, statistic), row in last.items():
        if statistic == EPSILON:
            wrong, title = last[measure, dataset, WRONG], measure_text(measure).title
            by = title[:1].lower() + title[1:] if title[1:2].islower() else title
            value = format_number(row["value"], signed=False)
            lines.append(
                f"{dataset}: epsilon is at least {value} with 95 % confidence by {by} "
                f"({wrong['value']:.0f} {wrong['unit']} guesses were wrong)"
            )
    return lines
