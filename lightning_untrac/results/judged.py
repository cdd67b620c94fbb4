"""How far unlearned models are from retrained ones, read from the tables, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number
from lightning_untrac.tables.distances import RETAINED, TEST_SETS, read_judgements


class Value(NamedTuple):
    """A number and its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        """As tables of a page show it."""
        if not math.isfinite(self.low):
            return self.short
        ends = (format_number(end, self.value) for end in (self.low, self.high))
        return f"{format_number(self.value)} ({' to '.join(ends)})"

    @property
    def short(self) -> str:
        """The number and half of its interval's width."""
        if not math.isfinite(self.value):
            return "\u2013"
        half = (self.high - self.low) / 2
        spread = f" \u00b1 {format_number(half, self.value, signed=False)}" if math.isfinite(half) else ""
        return format_number(self.value) + spread


NONE = Value(math.nan)


@dataclass(frozen=True)
class JudgedModel:
    """A model beside retrained ones.

    Attributes:
        model: its path.
        method: how it was made.
        is_original: whether it is the model before unlearning.
        values: by measure, dataset and statistic.
    """

    model: str
    method: str
    is_original: bool
    values: Mapping[tuple[str, str, str], Value]

    @property
    def name(self) -> str:
        """What it is called."""
        return "the original" if self.is_original else Path(self.model).name

    def value(self, measure: str, dataset: str, statistic: str) -> Value:
        """A statistic; NaN where it is not known."""
        return self.values.get((measure, dataset, statistic), NONE)


@dataclass(frozen=True)
class JudgedSet:
    """The models of one forget set.

    Attributes:
        forget_set: its name.
        retrained: how many retrained models there were.
        models: the original first.
        measures: names of the distances.
        datasets: names of datasets and groups of them, the forget set first.
    """

    forget_set: str
    retrained: int
    models: Sequence[JudgedModel]
    measures: Sequence[str]
    datasets: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """The forget set, what is retained, and the test sets, of those that there are."""
        return [name for name in (self.forget_set, RETAINED, TEST_SETS) if name in self.datasets]

    def noise_share(self, measure: str, dataset: str) -> float:
        """How far two retrained models are apart, as a share of how far the original is from them."""
        noise, start = (self.models[0].value(measure, dataset, name).value for name in ("noise", "start"))
        return noise / start if start else math.nan


def find_judged(folder: Path, order: Sequence[str] = ()) -> list[JudgedSet]:
    """What ``judgements.parquet`` holds, a forget set each.

    Args:
        folder: of the run.
        order: names of the datasets as they were configured.

    Raises:
        ResultsError: if the table is damaged.
    """
    found = []
    for forget_set, group in groupby(read_judgements(folder), key=lambda row: row["forget_set"]):
        rows = list(group)
        models = []
        for model in dict.fromkeys(row["model"] for row in rows):
            mine = [row for row in rows if row["model"] == model]
            values = {
                (row["measure"], row["dataset"], row["statistic"]): Value(
                    row["value"],
                    *(math.nan if row[end] is None else row[end] for end in ("ci_low", "ci_high")),
                )
                for row in mine
            }
            models.append(JudgedModel(model, mine[0]["method"], mine[0]["role"] == "original", values))
        models.sort(key=lambda one: (not one.is_original, one.model))
        there = dict.fromkeys(row["dataset"] for row in rows)
        names = [one for one in dict.fromkeys((forget_set, RETAINED, TEST_SETS, *order, *there)) if one in there]
        measures = sorted({row["measure"] for row in rows}, reverse=True)
        found.append(JudgedSet(forget_set, rows[0]["retrained"], models, measures, names))
    return found


def nearer(judged: JudgedSet, model: JudgedModel) -> str:
    """Whether a model is nearer to the retrained ones than to the original on the forget set.

    Returns:
        ``yes`` or ``no`` where an interval says so, else ``can't tell``; by each measure where they disagree.
    """
    said = {}
    for measure in judged.measures:
        share = model.value(measure, judged.forget_set, "nearer")
        said[measure] = "yes" if share.high < 0.5 else "no" if share.low > 0.5 else "can't tell"
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{word} by {_title(measure)}" for measure, word in said.items())


def _title(measure: str) -> str:
    """A measure inside a sentence."""
    title = measure_text(measure).title
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def judged_answers(judged: JudgedSet) -> list[str]:
    """A sentence or two about each unlearned model.

    Args:
        judged: the models of one forget set.
    """
    said = []
    for model in judged.models:
        if model.is_original:
            continue
        sentence = (
            f"{model.name}: nearer to the retrained model than to the original on {judged.forget_set}: "
            f"{nearer(judged, model)}."
        )
        values = {m: model.value(m, judged.forget_set, "excess") for m in judged.measures}
        beyond = [m for m, value in values.items() if value.low > 1]
        within = [m for m, value in values.items() if value.low <= 0 <= value.high]
        if beyond:
            names = " and ".join(map(_title, beyond))
            sentence += f" It ended farther from it than the original is ({names})."
        elif within and len(within) == len(values):
            sentence += " Its distance can't be told from the noise of retraining."
        said.append(sentence)
    return said
