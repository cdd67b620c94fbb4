"""How fast models came to answer again what was forgotten, read from the summary, and as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.text import Text

from lightning_untrac.functional.relearning import steps_to_regain
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number
from lightning_untrac.results.terminal_tables import fixed_table

if TYPE_CHECKING:
    from rich.console import RenderableType

HALF: Final = 0.5
"""Share of what the original knows that has to come back."""


@dataclass(frozen=True)
class Relearned:
    """One measure of one dataset while several models are fine-tuned on a part of what was forgotten.

    Attributes:
        measure: its name.
        dataset: its name.
        original: what the model before unlearning reached, the ceiling.
        steps: model to ``[S]`` of its readings.
        values: model to ``[S]`` what was read.
    """

    measure: str
    dataset: str
    original: float
    steps: Mapping[str, Floats]
    values: Mapping[str, Floats]

    def steps_to_half(self, model: str) -> float:
        """Steps until a model has half of what the original knows; see :func:`steps_to_regain`.

        Args:
            model: its name.
        """
        return steps_to_regain(self.steps[model], self.values[model], HALF * self.original)


def relearned(rows: Sequence[Mapping[str, Any]], original: str, models: Mapping[str, str]) -> list[Relearned]:
    """The courses of all measures of which larger values say that more is known.

    Args:
        rows: of ``summary.parquet``, of one forget set and seed.
        original: method of the model before unlearning.
        models: method to name of those that were fine-tuned.
    """
    means = [row for row in rows if row["statistic"] == "mean" and math.isfinite(row["value"])]
    found = []
    for measure, dataset in dict.fromkeys((row["measure"], row["dataset"]) for row in means):
        mine = [row for row in means if (row["measure"], row["dataset"]) == (measure, dataset)]
        ceiling = [row["value"] for row in mine if row["method"] == original]
        if not ceiling or measure_text(measure).forgetting != -1:
            continue
        courses = {
            name: sorted((row["step"], row["value"]) for row in mine if row["method"] == method)
            for method, name in models.items()
        }
        steps, values = (
            {name: np.array([one[part] for one in course], dtype=np.float64) for name, course in courses.items()}
            for part in (0, 1)
        )
        found.append(Relearned(measure, dataset, float(ceiling[0]), steps, values))
    return found


def relearned_table(found: Sequence[Relearned], width: int | None = None) -> RenderableType:
    """Steps until half of the original's is regained: a row a measure and dataset, a column a model.

    Args:
        found: courses of the same models.
        width: of the terminal, in columns; None where there is room for everything.
    """
    models = list(dict.fromkeys(name for one in found for name in one.steps))
    rows = [
        [
            Text(f" {one.dataset}"),
            Text(format_number(one.original, signed=False)),
            *(Text(_cell(one, name)) for name in models),
        ]
        for one in found
    ]
    titles = dict.fromkeys(one.measure for one in found)
    groups = [
        (measure_text(name).title, [row for row, one in zip(rows, found, strict=True) if one.measure == name])
        for name in titles
    ]
    title = "Steps until half of the original's is back (before the first step, after the last)"
    return fixed_table(title, ["", "original", *models], groups, 1, width)


def _cell(one: Relearned, model: str) -> str:
    values = one.values[model]
    if not len(values):
        return "\u2013"
    steps, last = one.steps_to_half(model), one.steps[model][-1]
    shown = "\u2013" if math.isnan(steps) else f"> {last:g}" if math.isinf(steps) else f"{steps:.2g}"
    ends = (format_number(value, signed=False) for value in (values[0], values[-1]))
    return f"{shown} ({', '.join(ends)})"
