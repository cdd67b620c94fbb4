"""What a reading measured, as rows of the summary and of the examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import Measure
from lightning_untrac.metrics.canary_audit import canary_statistics, is_of_one_text
from lightning_untrac.metrics.summary import Statistic, summarise
from lightning_untrac.tables.measurements import measurements_table

MOST_ALONG = 2_000
"""Examples of a forget set whose every reading is kept; of a larger one there are the first and the last."""


class Reading(NamedTuple):
    """What a validation has measured.

    Attributes:
        model: whose weights they were.
        step: optimizer steps since the model of step 0; None for a model that is measured as it is.
        arrays: ``<measure>/value`` and ``<measure>/weight`` of every example of every dataset.
        status: of each dataset's numbers.
    """

    model: str
    step: int | None
    arrays: dict[str, dict[str, Floats]]
    status: dict[str, str]

    def of(self, dataset: str | None) -> Reading:
        """The part of it that is of one dataset, where that has examples, and not too many to be kept each time."""
        arrays = {
            column: {name: array for name, array in every.items() if name == dataset and len(array) <= MOST_ALONG}
            for column, every in self.arrays.items()
        }
        return self._replace(arrays=arrays)

    def state(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        arrays = {
            column: {name: torch.from_numpy(array) for name, array in arrays.items()}
            for column, arrays in self.arrays.items()
        }
        return {**self._asdict(), "arrays": arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Reading:
        """What a checkpoint holds.

        Args:
            state: of :meth:`state`.
        """
        arrays = {
            column: {name: array.numpy() for name, array in arrays.items()}
            for column, arrays in state["arrays"].items()
        }
        return cls(**{**state, "arrays": arrays})


def summary_rows(
    measures: Sequence[Measure],
    reading: Reading,
    made: Mapping[str, Any],
    blocks: set[str],
    groups_of: Mapping[str, Any],
    sides: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Rows of ``summary.parquet``, as plain values.

    Args:
        measures: whose values the reading has.
        reading: what was measured.
        made: ``method``, ``forget_set`` and ``seed`` of the model.
        blocks: datasets whose examples are blocks of several.
        groups_of: the group of each example of each dataset; None for a dataset without groups.
        sides: datasets that a coin flip let into training to those that it kept out.
    """
    rows = []
    for measure, state, values, weights in _states(measures, reading, made):
        sound = bool(np.isfinite(values[weights > 0]).all())
        status = state["status"] if sound or state["status"] != "ok" else "nonfinite"
        unit = "blocks" if state["dataset"] in blocks else "examples"
        found = summarise(measure, values, weights, unit, groups_of.get(state["dataset"]))
        if (stayed_out := sides.get(state["dataset"])) is not None:
            found = [*found, *_of_canaries(measure, reading, state["dataset"], stayed_out)]
        rows += [{**state, **statistic._asdict(), "status": status} for statistic in found]
    return rows


def _of_canaries(measure: Measure, reading: Reading, entered: str, stayed_out: str) -> list[Statistic]:
    """What the scores of a reading prove of canaries, where both sides were read."""
    if measure.direction == "none" or not is_of_one_text(measure):
        return []
    values, weights = (reading.arrays[f"{measure.name}/{part}"] for part in ("value", "weight"))
    if stayed_out not in values:
        return []
    sign = 1.0 if measure.direction == "higher" else -1.0
    sides = (np.where(weights[name] > 0, sign * values[name], np.nan) for name in (entered, stayed_out))
    return canary_statistics(*sides)


def example_tables(
    measures: Sequence[Measure], reading: Reading, made: Mapping[str, Any], groups_of: Mapping[str, Any]
) -> list[Any]:
    """Tables of ``measurements.parquet``, one for each measure and dataset; examples without a weight have no row.

    Args:
        measures: whose values the reading has.
        reading: what was measured.
        made: ``method``, ``forget_set`` and ``seed`` of the model.
        groups_of: the group of each example of each dataset; None for a dataset without groups.
    """
    tables = []
    for measure, state, values, weights in _states(measures, reading, made):
        kept = np.flatnonzero(weights)
        status = state.pop("status")
        found = np.where(np.isfinite(values[kept]) | (status != "ok"), status, "nonfinite")
        columns: dict[str, Any] = {"example": kept, "value": values[kept], "weight": weights[kept], "status": found}
        if (of := groups_of[state["dataset"]]) is not None:
            columns["group"] = [of[index] for index in kept.tolist()]
        tables.append(measurements_table({**state, "unit": measure.unit}, columns))
    return tables


def _states(
    measures: Sequence[Measure], reading: Reading, made: Mapping[str, Any]
) -> Iterator[tuple[Measure, dict[str, Any], Floats, Floats]]:
    """Measure, columns that all rows share, values and weights of each dataset."""
    for measure in measures:
        values, weights = (reading.arrays[f"{measure.name}/{part}"] for part in ("value", "weight"))
        for dataset in values:
            state = {"model": reading.model, **made, "step": reading.step, "measure": measure.name}
            status = reading.status[dataset]
            yield measure, {**state, "dataset": dataset, "status": status}, values[dataset], weights[dataset]
