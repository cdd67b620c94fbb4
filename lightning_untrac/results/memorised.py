"""What a judgement says of the memorisation of single sequences, read from the tables, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.naming import counted
from lightning_untrac.results.figures import file_name
from lightning_untrac.results.judged import NONE, Value, in_a_sentence
from lightning_untrac.results.style import format_number
from lightning_untrac.tables.memorisation import (
    OVER_FORGOTTEN,
    SURVIVOR,
    read_memorisation,
    read_memorisation_summary,
    read_outliers,
)

if TYPE_CHECKING:
    import pyarrow as pa

SURVIVORS: Final = "survivors"
"""The statistic by which the measure is known that survivors are counted by."""

COUNTS: Final = (SURVIVORS, "over_forgotten")
"""Statistics that are numbers of sequences."""

REACH: Final = "level_reach"
"""The statistic of how far the level of each sequence reaches on both sides of what retrained models know of it."""

_OF_ERRORS: Final = "_error"
"""Ending of statistics that are the standard error of another one."""


@dataclass(frozen=True)
class MemorisedModel:
    """A model (or several seeds of one unlearning) and what it knows of a forget set.

    Attributes:
        model: its path.
        role: ``original``, ``unlearned``, ``seeds`` or ``retrained``.
        values: by measure and statistic.
        units: of these.
        known: ``[sequences]`` of the counted measure, by the order of their indices; empty for several seeds.
        outliers: rows of ``outliers.parquet``.
    """

    model: str
    role: str
    values: Mapping[tuple[str, str], Value]
    units: Mapping[tuple[str, str], str]
    known: Floats
    outliers: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """What it is called."""
        return "the original" if self.role == "original" else Path(self.model).name

    def value(self, measure: str, statistic: str) -> Value:
        """A statistic; NaN where it is not known."""
        return self.values.get((measure, statistic), NONE)

    def listed(self, side: str) -> list[Mapping[str, Any]]:
        """Its outliers on a side, those farthest from unseen text first."""
        mine = [row for row in self.outliers if row["side"] == side]
        return sorted(mine, key=lambda row: (-max(row["value"] - row["level_high"], row["level_low"] - row["value"]),
                                             row["example"]))  # fmt: skip


@dataclass(frozen=True)
class MemorisedSet:
    """The models of one forget set.

    Attributes:
        forget_set: its name.
        counted: the measure by which survivors are counted.
        models: the original, the unlearned ones and seeds of one unlearning.
        retrained: models that never saw it.
        examples: indices of its sequences, in the order of ``known``.
    """

    forget_set: str
    counted: str
    models: Sequence[MemorisedModel]
    retrained: Sequence[MemorisedModel]
    examples: Sequence[int]

    @property
    def sequences(self) -> int:
        """How many the forget set has."""
        return len(self.examples)

    @property
    def places(self) -> dict[int, int]:
        """The place of each sequence by its index."""
        return {example: place for place, example in enumerate(self.examples)}

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Measures and statistics, the counted measure first; standard errors stand in intervals."""
        found = dict.fromkeys(cell for one in (*self.models, *self.retrained) for cell in one.values)
        kept = [cell for cell in found if not cell[1].endswith(_OF_ERRORS)]
        return sorted(kept, key=lambda cell: (cell[0] != self.counted, cell[0], _ORDER.get(cell[1], len(_ORDER))))

    def mean_retrained(self, measure: str, statistic: str) -> Value:
        """The mean of a statistic over retrained models, from the smallest to the largest of them."""
        values = [one.value(measure, statistic).value for one in self.retrained]
        values = [value for value in values if math.isfinite(value)]
        if not values:
            return NONE
        mean = round(float(np.mean(values)), 12)  # what cancels leaves no crumbs
        return Value(mean) if len(values) == 1 else Value(mean, min(values), max(values))

    def unit(self, measure: str, statistic: str) -> str:
        """Of a statistic."""
        units = (one.units.get((measure, statistic)) for one in (*self.models, *self.retrained))
        return next((unit for unit in units if unit is not None), "")


_ORDER: Final = {
    name: place
    for place, name in enumerate(
        (*COUNTS, "mean", "mean_size", "best_known", "largest", "level", "level_low", "level_high", REACH)
    )
}

_TITLES: Final = {
    "mean": "mean",
    "mean_size": "mean of sizes",
    "best_known": "best known",
    "largest": "largest",
    SURVIVORS: "survivors",
    "over_forgotten": "over-forgotten",
    "level": "unseen, mean",
    "level_low": "unseen, from",
    "level_high": "unseen, to",
    REACH: "unseen, \u00b1",
    "auc": "AUC",
    "auc_most_memorised": "AUC, top tenth",
    "auc_rest": "AUC, the rest",
    "auc_difference": "AUC, minus retrained",
    "tpr_at_1_percent": "found at 1 % false positives",
    "tpr_at_1_percent_difference": "the same, minus retrained",
    "tpr_at_0.1_percent": "found at .1 % false positives",
    "tpr_at_0.1_percent_difference": "the same, minus retrained (.1 %)",
    "privleak": "PrivLeak",
    "epsilon_at_least": "epsilon, at least",
    "canaries_wrong": "canaries guessed wrongly",
}


def statistic_title(statistic: str) -> str:
    """A statistic in words.

    >>> statistic_title("auc_rest"), statistic_title("my_own")
    ('AUC, the rest', 'my own')
    """
    return _TITLES.get(statistic, statistic.replace("_", " "))


def find_memorised(folder: Path) -> list[MemorisedSet]:
    """What the tables of a run folder say of memorisation, a forget set each.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if a table is damaged.
    """
    summary = read_memorisation_summary(folder)
    examples, outliers = read_memorisation(folder), read_outliers(folder)
    found = []
    for forget_set in dict.fromkeys(row["forget_set"] for row in summary):  # rows are in the order of the models
        rows = [row for row in summary if row["forget_set"] == forget_set]
        measure = next((row["measure"] for row in rows if row["statistic"] == SURVIVORS), None)
        if measure is None or examples is None:
            continue
        known, indices = _known(examples, forget_set, measure)
        models = []
        for model in dict.fromkeys(row["model"] for row in rows):
            mine = [row for row in rows if row["model"] == model]
            values = {(row["measure"], row["statistic"]): Value.of(row) for row in mine}
            units = {(row["measure"], row["statistic"]): row["unit"] for row in mine}
            if mine[0]["role"] != "seeds" and not np.isfinite(known.get(model, np.zeros(0))).any():
                values |= dict.fromkeys(((measure, name) for name in COUNTS), NONE)  # none was read: 0 is no count
            own = [row for row in outliers if (row["model"], row["forget_set"]) == (model, forget_set)]
            models.append(MemorisedModel(model, mine[0]["role"], values, units, known.get(model, np.zeros(0)), own))
        roles = ("original", "unlearned", "seeds")
        judged = sorted(
            (one for one in models if one.role in roles), key=lambda one: (roles.index(one.role), one.model)
        )
        retrained = [one for one in models if one.role == "retrained"]
        found.append(MemorisedSet(forget_set, measure, judged, retrained, indices))
    return found


def _known(examples: pa.Table, forget_set: str, measure: str) -> tuple[dict[str, Floats], list[int]]:
    """Values of a measure by model, in the order of the sequences, and these; NaN where a model has none."""
    import pyarrow.compute as pc

    mine: Any = pc.and_(pc.equal(examples["forget_set"], forget_set), pc.equal(examples["measure"], measure))
    mine = pc.and_(mine, pc.equal(examples["dataset"], forget_set))
    frame = examples.filter(mine).select(["model", "example", "value"]).to_pandas().sort_values("example")
    table = frame.pivot_table(index="example", columns="model", values="value").sort_index()
    return {str(model): table[model].to_numpy() for model in table.columns}, [int(index) for index in table.index]


def memorised_answers(memorised: MemorisedSet) -> list[str]:
    """A sentence about each unlearned model: how many sequences survive, and how many were forgotten too well.

    Args:
        memorised: the models of one forget set.
    """
    return [
        f"{model.name}: {survivors_sentence(memorised, model)}"
        for model in memorised.models
        if model.role == "unlearned"
    ]


def survivors_sentence(memorised: MemorisedSet, model: MemorisedModel) -> str:
    """How many sequences survive, and how many were forgotten too well, beside the original and retrained models.

    Args:
        memorised: the models of one forget set.
        model: one of them.
    """
    of_retrained = [memorised.mean_retrained(memorised.counted, name).value for name in COUNTS]
    original = next((one for one in memorised.models if one.role == "original"), None)
    above, below = (model.value(memorised.counted, name).value for name in COUNTS)
    sentence = (
        f"of {counted(memorised.sequences, 'sequence')} of {memorised.forget_set} "
        f"{_number(above)} {'survives' if above == 1 else 'survive'}, known better than unseen text, and "
        f"{_number(below)} {'is' if below == 1 else 'are'} known worse ({in_a_sentence(memorised.counted)})"
    )
    if original is not None:
        before = [_number(original.value(memorised.counted, name).value) for name in COUNTS]
        sentence += f"; of the original {before[0]} and {before[1]}"
    if all(map(math.isfinite, of_retrained)):
        sentence += f", of a retrained model {_number(of_retrained[0])} and {_number(of_retrained[1])}"
    return f"{sentence}."


def survivors_anchor(forget_set: str, model: str) -> str:
    """The place of a page that lists a model's survivors.

    Args:
        forget_set: the forget set.
        model: what the model is called.
    """
    return f"survivors-{file_name(forget_set)}-{file_name(model)}"


def _number(count: float) -> str:
    if not math.isfinite(count):
        return "\u2013"
    return f"{count:.0f}" if count == round(count) else f"{count:.1f}"


def shown_value(statistic: str, value: Value) -> str:
    """A statistic as tables show it: a number of sequences whole, others with their interval.

    Args:
        statistic: its name.
        value: and its interval.
    """
    if not math.isfinite(value.value):
        return "\u2013" if math.isnan(value.value) else format_number(value.value, signed=False)
    if statistic in COUNTS:
        return _number(value.value)
    said = format_number(value.value, signed=False)
    if not math.isfinite(value.low):
        return said
    low, high = (format_number(end, value.value, signed=False) for end in (value.low, value.high))
    return f"{said} ({low} to {high})"


def sides(model: MemorisedModel) -> dict[int, int]:
    """Of each outlier 1 where it survives, and -1 where it is over-forgotten, by its index."""
    words = {SURVIVOR: 1, OVER_FORGOTTEN: -1}
    return {int(row["example"]): words[row["side"]] for row in model.outliers if row["side"] in words}
