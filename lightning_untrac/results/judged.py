"""How far unlearned models are from retrained ones, read from the tables, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number
from lightning_untrac.results.training_time import training_seconds
from lightning_untrac.tables.distances import RETAINED, TEST_SETS, read_judgements
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED, read_judged_measures

SHOWN_COLUMNS: Final = 5
"""Of more columns than this a table shows all test sets together."""

SHOWN_BESIDE: Final = 2
"""Holdouts and other forget sets that a table shows."""


class Value(NamedTuple):
    """A number and its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Value:
        """That of a table's row."""
        return cls(row["value"], *(math.nan if row[end] is None else row[end] for end in ("ci_low", "ci_high")))

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
        if not math.isfinite(half):
            return format_number(self.value)
        return f"{format_number(self.value, half)} \u00b1 {format_number(half, self.value, signed=False)}"


NONE = Value(math.nan)


@dataclass(frozen=True)
class JudgedModel:
    """A model beside retrained ones, or these together.

    Attributes:
        model: its path.
        method: how it was made.
        role: ``original``, ``unlearned`` or ``retrained``.
        values: by measure, dataset and statistic.
    """

    model: str
    method: str
    role: str
    values: Mapping[tuple[str, str, str], Value]

    @property
    def is_original(self) -> bool:
        """Whether it is the model before unlearning."""
        return self.role == ORIGINAL

    @property
    def name(self) -> str:
        """What it is called."""
        return {ORIGINAL: "the original", RETRAINED: "retrained"}.get(self.role, Path(self.model).name)

    def is_like_retrained(self, measure: str, dataset: str) -> bool:
        """Whether its mean can't be told from that of the retrained models."""
        difference = self.value(measure, dataset, "difference")
        return difference.low <= 0 <= difference.high

    def value(self, measure: str, dataset: str, statistic: str) -> Value:
        """A statistic; NaN where it is not known."""
        return self.values.get((measure, dataset, statistic), NONE)


@dataclass(frozen=True)
class JudgedSet:
    """The models of one forget set.

    Attributes:
        forget_set: its name.
        retrained: how many retrained models there were.
        models: the original first, then the unlearned ones.
        measures: names of the distances.
        datasets: names of datasets and groups of them, the forget set first.
        together: the retrained models as one; None where nothing but distances was measured.
        scored: names of what was measured of each model, as it was asked for.
        roles: dataset to what it is (``corpus``, ``test set``, ...).
        seconds: path of an unlearned model to the wall time of its training, and of ``together`` to the mean of the
            retrained models'; empty where it is not known.
    """

    forget_set: str
    retrained: int
    models: Sequence[JudgedModel]
    measures: Sequence[str]
    datasets: Sequence[str]
    together: JudgedModel | None = None
    scored: Sequence[str] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The forget set, what is retained, and the test sets, of those that there are."""
        return [name for name in (self.forget_set, RETAINED, TEST_SETS) if name in self.datasets]

    @property
    def wide_columns(self) -> list[str]:
        """The same with test sets of their own, where they are few, and with what is neither retained nor a test."""
        others = [name for name in self.datasets if name != self.forget_set]
        tests = [name for name in others if self.roles.get(name) == "test set"]
        beside = [name for name in others if self.roles.get(name) in ("holdout", "forget set")]
        rest = [*(name for name in (RETAINED,) if name in others), *beside[:SHOWN_BESIDE]]
        tests = tests if 1 + len(tests) + len(rest) <= SHOWN_COLUMNS else [TEST_SETS]
        return [self.forget_set, *tests, *rest]

    @property
    def labels(self) -> dict[str, str]:
        """Each model's path to what it is called where the forget set stands beside it."""
        named = f"unlearned-{self.forget_set}"
        short = [one.name.removeprefix(f"{named}-") if one.name != named else "unlearned" for one in self.models]
        short = short if len(set(short)) == len(short) else [one.name for one in self.models]
        labels = dict(zip((one.model for one in self.models), short, strict=True))
        if self.together is not None:
            labels[self.together.model] = "retrained" + (f" ({self.retrained})" if self.retrained > 1 else "")
        return labels

    @property
    def unlearned(self) -> list[JudgedModel]:
        """All but the original."""
        return [one for one in self.models if one.role == UNLEARNED]

    def noise_share(self, measure: str, dataset: str) -> float:
        """How far two retrained models are apart, as a share of how far the original is from them."""
        noise, start = (self.models[0].value(measure, dataset, name).value for name in ("noise", "start"))
        return noise / start if start else math.nan


def find_judged(folder: Path, run: Mapping[str, Any] | None = None) -> list[JudgedSet]:
    """What ``judgements.parquet`` and ``judged_measures.parquet`` hold, a forget set each.

    Args:
        folder: of the run.
        run: content of ``run.json``, which knows the datasets and measures in their order.

    Raises:
        ResultsError: if a table is damaged.
    """
    entries = [entry for entry in (run or {}).get("data") or [] if isinstance(entry, Mapping)]
    roles = {str(entry.get("name")): str(entry.get("role")) for entry in entries}
    every, scores = read_judgements(folder), read_judged_measures(folder)
    found = []
    for forget_set in dict.fromkeys(row["forget_set"] for row in (*every, *scores)):
        rows, scored = ([row for row in table if row["forget_set"] == forget_set] for table in (every, scores))
        # Seeds of retrained models have rows of their own, and so has what is held against a single one of them.
        both = [*rows, *(row for row in scored if row["seed"] is None)]
        models = [_model(model, both) for model in dict.fromkeys(row["model"] for row in both)]
        models.sort(key=lambda one: (not one.is_original, one.model))
        there = dict.fromkeys(row["dataset"] for row in (rows or scored))
        names = [one for one in dict.fromkeys((forget_set, RETAINED, TEST_SETS, *roles, *there)) if one in there]
        kinds = dict.fromkeys(row["measure"] for row in scored)
        together = next((one for one in models if one.role == RETRAINED), None)
        unlearned = [one.model for one in models if one.role == UNLEARNED]
        found.append(
            JudgedSet(
                forget_set,
                (rows or scored)[0]["retrained"],
                [one for one in models if one.role != RETRAINED],
                sorted({row["measure"] for row in rows}, reverse=True),
                names,
                together,
                [name for name in dict.fromkeys((*((run or {}).get("measures") or ()), *kinds)) if name in kinds],
                roles,
                training_seconds(run or {}, unlearned, together.model if together else None),
            )
        )
    return found


def _model(model: str, rows: Sequence[Mapping[str, Any]]) -> JudgedModel:
    mine = [row for row in rows if row["model"] == model]
    values = {(row["measure"], row["dataset"], row["statistic"]): Value.of(row) for row in mine}
    return JudgedModel(model, mine[0]["method"], mine[0]["role"], values)


def nearer(judged: JudgedSet, model: JudgedModel) -> str:
    """Whether a model is nearer to the retrained ones than to the original on the forget set.

    Returns:
        ``yes`` or ``no`` where an interval says so, else ``can't tell``; by each measure where they disagree.
    """
    said = nearer_by(judged, model)
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{word} by {in_a_sentence(measure)}" for measure, word in said.items())


def nearer_by(judged: JudgedSet, model: JudgedModel) -> dict[str, str]:
    """The same by each measure of distance.

    Returns:
        A measure's name to ``yes``, ``no`` or ``can't tell``.
    """
    said = {}
    for measure in judged.measures:
        share = model.value(measure, judged.forget_set, "nearer")
        said[measure] = "yes" if share.high < 0.5 else "no" if share.low > 0.5 else "can't tell"
    return said


def in_a_sentence(measure: str) -> str:
    """A measure's title inside a sentence."""
    title = measure_text(measure).title
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
