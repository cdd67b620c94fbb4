"""What examinations found of the models of a judgement, read from the table and from ``run.json``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lightning_untrac.results.judged import Value
from lightning_untrac.results.memorised import statistic_title
from lightning_untrac.results.style import format_number
from lightning_untrac.tables.examinations import read_examination_summary
from lightning_untrac.tables.judged import RETRAINED

MEAN = "mean"


class Line(NamedTuple):
    """One number that is known of several models.

    Attributes:
        measure: what it is about.
        statistic: what of it.
        dataset: of which data.
        condition: what was done to the models; empty where nothing else was.
        at: how much of it, where that is a number.
        unit: of the number.
    """

    measure: str
    statistic: str
    dataset: str
    condition: str
    at: float | None
    unit: str


@dataclass(frozen=True)
class Examined:
    """One examination of the models of one forget set.

    Attributes:
        forget_set: its name.
        name: of the examination.
        title: its name for people.
        axis: what the numbers of a picture count; empty where there is none.
        measure: its main measure, or the statistic that is its main number.
        lines: each number by path of a model, in the order of the table.
        roles: path of a model to what it is.
        said: path of a model to a sentence.
    """

    forget_set: str
    name: str
    title: str
    axis: str
    measure: str
    lines: Mapping[Line, Mapping[str, Value]]
    roles: Mapping[str, str]
    said: Mapping[str, str]

    def is_own(self, line: Line) -> bool:
        """Whether a line is its main number: a mean of its measure, or a statistic of that name of any measure."""
        return line.statistic == self.measure or (line.measure == self.measure and line.statistic == MEAN)

    def words(self, line: Line) -> str:
        """Condition and statistic of a line, without what goes without saying."""
        known = line.statistic == MEAN or line.statistic == self.measure
        parts = [line.condition, "" if known else statistic_title(line.statistic)]
        return ", ".join(part for part in parts if part)

    def main(self, datasets: Collection[str]) -> list[Line]:
        """Lines that say something of a model as a whole: its main number, and what it concludes of its measure.

        Where the main number is a statistic of many measures, the first of them stands for all.

        Args:
            datasets: that are shown.
        """
        there = [line for line in self.lines if line.at is None and line.dataset in datasets]
        first = next((line.measure for line in there if line.statistic == self.measure), self.measure)
        return [
            line
            for line in there
            if (line.measure == self.measure or self.is_own(line)) and line.measure in (self.measure, first)
        ]

    def others(self, datasets: Collection[str]) -> list[Line]:
        """Further lines without a place on an axis.

        Args:
            datasets: that are shown with the main ones.
        """
        main = set(self.main(datasets))
        return [line for line in self.lines if line.at is None and line not in main]

    @property
    def along(self) -> list[Line]:
        """Lines with a place on an axis."""
        return [line for line in self.lines if line.at is not None]

    def value(self, line: Line, model: str) -> Value:
        """A number of a model; NaN where it is not known."""
        return self.lines[line].get(model, Value(float("nan")))

    def shown(self, line: Line, model: str | None) -> str:
        """A number as tables show it; of all retrained models where none is named."""
        value = self.retrained(line) if model is None else self.value(line, model)
        if math.isinf(value.value):
            return format_number(value.value, signed=False)
        return value.short.removeprefix("+")

    def retrained(self, line: Line) -> Value:
        """The mean over the retrained models; NaN where it is known of none."""
        values = [value.value for model, value in self.lines[line].items() if self.roles[model] == RETRAINED]
        return Value(sum(values) / len(values) if values else float("nan"))


def find_examined(folder: Path, run: Mapping[str, Any]) -> list[Examined]:
    """What ``examination_summary.parquet`` and ``run.json`` hold, in the order of the latter.

    Args:
        folder: of the run.
        run: content of ``run.json``.

    Raises:
        ResultsError: if the table is damaged.
    """
    texts, said = (_mapping(run.get(key)) for key in ("examinations", "examined"))
    rows = read_examination_summary(folder)
    keys = dict.fromkeys((row["forget_set"], row["examination"]) for row in rows)
    keys |= dict.fromkeys(
        (key.rpartition("/")[0], key.rpartition("/")[2]) for key in said if "/" in key
    )  # one may have sentences alone
    found = []
    for forget_set, name in sorted(keys, key=lambda key: list(texts).index(key[1]) if key[1] in texts else len(texts)):
        mine = [row for row in rows if (row["forget_set"], row["examination"]) == (forget_set, name)]
        lines: dict[Line, dict[str, Value]] = {}
        for row in mine:
            lines.setdefault(Line(*(row[field] for field in Line._fields)), {})[row["model"]] = Value.of(row)
        text = _mapping(texts.get(name))
        title, axis, measure = (
            str(text.get(key, other)) for key, other in (("title", name), ("axis", ""), ("measure", name))
        )
        sentences = {str(model): str(one) for model, one in _mapping(said.get(f"{forget_set}/{name}")).items() if one}
        roles = {row["model"]: row["role"] for row in mine}
        found.append(Examined(forget_set, name, title, axis, measure, lines, roles, sentences))
    return found


def _mapping(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, Mapping) else {}


def said_of(every: Sequence[Examined], forget_set: str) -> dict[str, list[str]]:
    """Path of a model to what all examinations say of it.

    Args:
        every: examinations, maybe of several forget sets.
        forget_set: which of them.
    """
    found: dict[str, list[str]] = {}
    for one in every:
        for model, sentence in one.said.items() if one.forget_set == forget_set else ():
            found.setdefault(model, []).append(sentence)
    return found
