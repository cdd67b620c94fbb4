"""What is said of a dataset from the numbers of its examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import Mean, weighted_mean
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.measure import Measure


class Statistic(NamedTuple):
    """One number about a dataset.

    Attributes:
        statistic: its name.
        value: the number.
        ci_low: lower end of its 95 % interval; None where there is none.
        ci_high: upper end.
        unit: of the number.
    """

    statistic: str
    value: float
    ci_low: float | None
    ci_high: float | None
    unit: str


def summarise(
    measure: Measure, values: Floats, weights: Floats, rows: str = "examples", groups: Sequence[str] | None = None
) -> list[Statistic]:
    """The statistics of ``summary.parquet``.

    Args:
        measure: what was measured.
        values: ``[examples]``.
        weights: ``[examples]``; examples of weight 0 do not count.
        rows: what is measured one by one: ``examples``, or ``blocks`` of a packed corpus.
        groups: the group of each example, ``[examples]``, where there are any.

    Example:
        >>> from lightning_untrac.metrics import find_measures
        >>> loss = find_measures("loss")[0]
        >>> for row in summarise(loss, np.array([2.0, 5.0]), np.array([2.0, 1.0])):
        ...     print(row.statistic, row.value, row.unit or "1")
        mean 3.0 nats/token
        example_mean 3.5 nats/token
        perplexity 20.085536923187668 1
        weight 3.0 target tokens
        count 2.0 examples
    """
    counted = weights > 0
    means = {
        "mean": weighted_mean(values, weights, bounds=measure.bounds),
        "example_mean": weighted_mean(values, counted.astype(np.float64), bounds=measure.bounds),
    }
    if measure.worst == "largest" and groups is not None:
        largest = group_maxima(values, weights, groups)
        means["worst_in_group"] = weighted_mean(largest, np.ones_like(largest), bounds=measure.bounds)
    return [
        *(
            Statistic(name, mean.value, _known(mean.low), _known(mean.high), measure.unit)
            for name, mean in means.items()
        ),
        *_of_mean(measure, means["mean"]),
        Statistic("weight", math.fsum(weights[counted]), None, None, measure.weight_unit),
        Statistic("count", float(counted.sum()), None, None, rows),
    ]


def _of_mean(measure: Measure, mean: Mean) -> list[Statistic]:
    """What follows from the mean, with the interval that follows from its own."""
    low, high = measure.of_mean(mean.low), measure.of_mean(mean.high)
    return [
        Statistic(name, value, _known(low[name]), _known(high[name]), "")
        for name, value in measure.of_mean(mean.value).items()
    ]


def group_maxima(values: Floats, weights: Floats, groups: Sequence[str]) -> Floats:
    """The largest value of each group, of those examples that count.

    Args:
        values: ``[examples]``.
        weights: ``[examples]``; examples of weight 0 do not count.
        groups: the group of each, ``[examples]``.

    Example:
        >>> group_maxima(np.array([0.0, 1.0, 0.0, 9.0]), np.array([1.0, 1.0, 1.0, 0.0]), ["a", "a", "b", "b"]).tolist()
        [1.0, 0.0]
    """
    found: dict[str, float] = {}
    for index in np.flatnonzero(weights > 0).tolist():
        found[groups[index]] = max(found.get(groups[index], -math.inf), float(values[index]))
    return np.array(list(found.values()), dtype=np.float64)


def _known(end: float) -> float | None:
    return None if math.isnan(end) else end
