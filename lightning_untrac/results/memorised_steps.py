"""How fast each part of a forget set was forgotten and what it cost, read from the table, and as rows for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.text import Text

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.results.judged import NONE, Value
from lightning_untrac.results.page import escape, table_html
from lightning_untrac.results.style import format_number
from lightning_untrac.results.terminal_tables import fixed_table
from lightning_untrac.tables.memorisation_steps import read_memorisation_steps

if TYPE_CHECKING:
    from rich.console import RenderableType

BESIDE: Final = {"retained": "what is retained", "test_sets": "the test sets"}
"""Statistics of losses beside the forget set, in words."""

SPLITS: Final = {
    "all": "all",
    "group": "by group",
    "memorisation": "by how far it was memorised",
    "difficulty": "by how hard it is for retrained models",
}

NOTE: Final = (
    "GenEx: the mean over sequences, nats per token, and the steps until it is a share of that, along straight lines "
    "between readings; > means that the last reading was not there yet. Rises are in nats per token, from before the "
    "first step until a tenth. Thirds are by rank: by memorisation accuracy beside that of retrained models, and by "
    "the loss of these. 95 % intervals resample sequences."
)


@dataclass(frozen=True)
class Part:
    """A part of a forget set, and how a model forgot it.

    Attributes:
        split: by what parts are made.
        name: of the part.
        sequences: how many it has.
        values: by statistic.
    """

    split: str
    name: str
    sequences: int
    values: Mapping[str, Value]


@dataclass(frozen=True)
class ForgettingSteps:
    """How a model forgot its set, or where a retrained model stands.

    Attributes:
        model: its path.
        role: ``unlearned`` or ``retrained``.
        forget_set: what was forgotten.
        steps: ``[S]`` of the readings; empty for a retrained model.
        courses: ``[S]`` of the whole set, by statistic; one number each for a retrained model.
        parts: the whole set first.
    """

    model: str
    role: str
    forget_set: str
    steps: Floats
    courses: Mapping[str, Floats]
    parts: Sequence[Part]

    @property
    def name(self) -> str:
        """What it is called beside its forget set."""
        name = Path(self.model).name
        return name.removeprefix(f"unlearned-{self.forget_set}-")


def find_memorisation_steps(folder: Path) -> list[ForgettingSteps]:
    """What ``memorisation_steps.parquet`` holds, a model each.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    rows = read_memorisation_steps(folder)
    keys = dict.fromkeys((row["forget_set"], row["role"], row["model"]) for row in rows)
    every = {key: [row for row in rows if (row["forget_set"], row["role"], row["model"]) == key] for key in keys}
    return [
        _of(*key, mine) for key, mine in sorted(every.items(), key=lambda one: (one[0][0], one[0][1] != "unlearned"))
    ]


def _of(forget_set: str, role: str, model: str, rows: Sequence[Mapping[str, Any]]) -> ForgettingSteps:
    whole = [row for row in rows if row["split"] == "all" and (row["step"] is not None or role == "retrained")]
    steps = sorted({row["step"] for row in whole if row["step"] is not None})
    courses = {}
    for name in dict.fromkeys(row["statistic"] for row in whole):
        found = {row["step"]: row["value"] for row in whole if row["statistic"] == name}
        courses[name] = np.array([found.get(step, math.nan) for step in steps or [None]])
    parts, places, thirds = [], list(SPLITS), {"low": 0, "middle": 1, "high": 2}
    names = sorted(
        dict.fromkeys((row["split"], row["part"], row["sequences"]) for row in rows),
        key=lambda one: (
            places.index(one[0]) if one[0] in places else len(places),
            thirds.get(one[1], 0),
            _natural(one[1]),
        ),
    )
    for split, part, count in names if role == "unlearned" else ():
        mine = [row for row in rows if (row["split"], row["part"]) == (split, part) and row["step"] is None]
        parts.append(Part(split, part, count, {row["statistic"]: Value.of(row) for row in mine}))
    return ForgettingSteps(model, role, forget_set, np.array(steps, dtype=np.float64), courses, parts)


def _natural(name: str) -> list[tuple[int, str]]:
    """So that ``4`` stands before ``16``."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in name.split()]


def _shown(value: Value, last: float) -> str:
    """A number and its interval; what lies beyond the last reading as such."""

    def one(number: float) -> str:
        return f"> {last:g}" if math.isinf(number) else format_number(number, signed=False)

    if math.isnan(value.value):
        return "\u2013"
    if math.isnan(value.low) or (math.isinf(value.low) and math.isinf(value.value)):
        return one(value.value)
    return f"{one(value.value)} ({one(value.low)} to {one(value.high)})"


def _rise(value: Value) -> str:
    return "\u2013" if not math.isfinite(value.value) else format_number(value.value)


def _heads(found: ForgettingSteps) -> list[str]:
    rises = [f"rise of {words}" for name, words in BESIDE.items() if name in found.courses]
    return ["sequences", "GenEx before", "steps to a half", "to a tenth", *rises]


def _cells(found: ForgettingSteps, part: Part) -> list[str]:
    last = float(found.steps[-1])
    start, half, tenth = (part.values.get(name, NONE) for name in ("genex_at_start", "steps_to_half", "steps_to_tenth"))
    rises = [_rise(part.values.get(f"{name}_rise_at_tenth", NONE)) for name in BESIDE if name in found.courses]
    return [
        str(part.sequences),
        "\u2013" if math.isnan(start.value) else format_number(start.value),
        _shown(half, last),
        _shown(tenth, last),
        *rises,
    ]


def steps_tables(every: Sequence[ForgettingSteps]) -> str:
    """A table a model of one forget set as markup: a row a part, with steps and what they had cost by then.

    Args:
        every: models of one forget set.
    """
    shown = [one for one in every if one.role == "unlearned" and len(one.steps)]
    if not shown:
        return ""
    parts = []
    for place, found in enumerate(shown):
        rows = [
            (SPLITS.get(part.split, part.split) if part.split != "all" else "", part.name, *_cells(found, part))
            for part in found.parts
        ]
        head = ("", "part", *_heads(found))
        table = table_html(head, rows, range(2, len(head)))
        opened = " open" if place == 0 else ""
        parts.append(f"<details{opened}><summary>{escape(found.name)}</summary>{table}</details>")
    return f'<h4>How many steps, and at what cost</h4>{"".join(parts)}<p class="muted small">{escape(NOTE)}</p>'


def steps_table(every: Sequence[ForgettingSteps], width: int | None = None) -> RenderableType | None:
    """The same for a terminal: all parts of one model; of several the whole set of each.

    Args:
        every: models of one forget set.
        width: of the terminal, in columns; None where there is room for everything.
    """
    shown = [one for one in every if one.role == "unlearned" and len(one.steps)]
    if not shown:
        return None
    groups: list[tuple[str, list[list[Text]]]] = []
    if len(shown) == 1:
        for split in dict.fromkeys(part.split for part in shown[0].parts):
            mine = [part for part in shown[0].parts if part.split == split]
            rows = [[Text(cell) for cell in (f" {part.name}", *_cells(shown[0], part))] for part in mine]
            groups.append((SPLITS.get(split, split), rows))
    else:
        rows = [[Text(cell) for cell in (one.name, *_cells(one, part))] for one in shown for part in one.parts[:1]]
        groups.append(("", rows))
    title = f"How many steps {shown[0].forget_set} took, and the rise of other losses until a tenth"
    heads = ["", "sequences", "GenEx before", "to a half", "to a tenth"]
    heads += [words.removeprefix("what is ").removeprefix("the ") for name, words in BESIDE.items()
              if name in shown[0].courses]  # fmt: skip
    return fixed_table(title, heads, groups, 1, width)
