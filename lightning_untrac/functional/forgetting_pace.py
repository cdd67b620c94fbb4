"""How many steps it takes until what is known too well has come down to a share of its start, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.functional.example_means import ENDS, Mean
from lightning_untrac.functional.uncertainty import Floats, resamples

NUM_RESAMPLES: Final = 1000

TERCILES: Final = 3


def steps_until(steps: Floats, curves: Floats, share: float) -> Floats:
    """The step at which each curve has come down to a share of its first value, along straight lines between readings.

    Args:
        steps: ``[S]`` of the readings, rising.
        curves: ``[S, ...]`` what was read.
        share: of the first reading.

    Returns:
        ``[...]``; infinite where a curve does not come down so far, NaN where it does not begin above 0, or where a
        reading before is not finite.

    Example:
        >>> steps_until(np.array([0.0, 1.0, 2.0]), np.array([4.0, 3.0, -1.0]), 0.5).item()
        1.25
    """
    curves = np.asarray(curves, dtype=np.float64)
    aims = share * curves[0]
    found = np.full(curves.shape[1:], math.inf)
    found[~(curves[0] > 0)] = math.nan
    for place in range(1, len(curves)):
        before, here = curves[place - 1], curves[place]
        found[np.isinf(found) & ~np.isfinite(here)] = math.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            way = (before - aims) / (before - here)
        passed = np.isinf(found) & (here <= aims)
        found[passed] = (steps[place - 1] + way * (steps[place] - steps[place - 1]))[passed]
    return found


def value_at(steps: Floats, values: Floats, where: Floats) -> Floats:
    """A course at steps between its readings; NaN where there is no step, infinite beyond the last reading.

    Args:
        steps: ``[S]`` of the readings.
        values: ``[S]`` what was read.
        where: ``[...]`` steps.
    """
    found: Floats = np.interp(where, steps, values)
    return np.where(np.isfinite(where), found, np.where(np.isnan(where), math.nan, math.inf))


class Pace(NamedTuple):
    """How fast a set is forgotten, and what it has cost until then.

    Attributes:
        start: mean over the sequences before the first step.
        steps: until the mean is a share of that; infinite where it was not reached.
        costs: of each course beside it, what it had come to then; infinite likewise.
    """

    start: Mean
    steps: Mean
    costs: Sequence[Mean]


def pace(
    steps: Floats,
    values: Floats,
    courses: Sequence[Floats],
    share: float,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Pace:
    """Steps until the mean over sequences has come down to a share of its start; intervals resample the sequences.

    Args:
        steps: ``[S]`` of the readings.
        values: ``[S, E]`` of each sequence; above 0 where it is known too well.
        courses: ``[S]`` each, of what else was read, such as how far another loss had risen.
        share: of the start.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        NaN without a sequence; no interval of a single one.
    """
    count = values.shape[1]
    if not count:
        nothing = Mean(math.nan, math.nan, math.nan)
        return Pace(nothing, nothing, [nothing for _ in courses])
    mean = values.mean(axis=1)
    drawn = values @ resamples(count, num_resamples, seed).T / count if count > 1 else np.zeros((len(steps), 0))
    until, again = steps_until(steps, mean, share), steps_until(steps, drawn, share)
    return Pace(
        _mean(mean[0], drawn[0]),
        _mean(until, again),
        [_mean(value_at(steps, one, until), value_at(steps, one, again)) for one in courses],
    )


def _mean(value: Floats | float, drawn: Floats) -> Mean:
    """With the 95 % interval of what was drawn, which may end at infinity; none where most of it is not known."""
    known = np.sort(drawn[~np.isnan(drawn)])
    if len(known) < len(drawn) / 2 or not len(known) or math.isnan(value):
        return Mean(float(value), math.nan, math.nan)
    low, high = (float(np.quantile(known, end, method="inverted_cdf")) for end in ENDS)
    return Mean(float(value), low, high)


def terciles(values: Floats) -> list[npt.NDArray[np.int64]]:
    """Indices of the lowest, the middle and the highest third, by rank; of equal values the earlier are lower.

    Args:
        values: ``[E]``, finite.

    Example:
        >>> [part.tolist() for part in terciles(np.array([5.0, 1.0, 3.0, 9.0]))]
        [[1, 2], [0], [3]]
    """
    return [np.sort(part) for part in np.array_split(np.argsort(values, kind="stable"), TERCILES)]
