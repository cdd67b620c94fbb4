"""How fast fine-tuning brings back what was forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.functional.uncertainty import Floats


def steps_to_regain(steps: Floats, values: Floats, level: float) -> float:
    """The step at which a course first reaches a level from below, along straight lines between readings.

    Args:
        steps: ``[S]`` of the readings, rising, the first before any step.
        values: ``[S]`` what was read; larger says that more is known.
        level: to reach, such as half of what the original model knows.

    Returns:
        0 where the first reading is there already, infinite where no reading is, NaN where the level is not above 0 or
        a reading before is not finite.

    Example:
        >>> steps, answered = np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.25, 0.75])
        >>> steps_to_regain(steps, answered, 0.5), steps_to_regain(steps, answered, 0.9)
        (2.0, inf)
    """
    if not level > 0:
        return math.nan
    for place, value in enumerate(values):
        if not math.isfinite(value):
            return math.nan
        if value >= level:
            if place == 0:
                return 0.0
            before = values[place - 1]
            way = (level - before) / (value - before)
            return float(steps[place - 1] + way * (steps[place] - steps[place - 1]))
    return math.inf


def steps_to_half(
    steps: Floats, course: Sequence[Resampled], start: Resampled, original: Resampled, higher: bool = True
) -> Resampled:
    """Steps until a model has half of what the original knows beyond a model that never saw the set.

    Where such a model knows nothing, that is half of what the original knows. Resamples share examples, so that two
    models' steps can be held against each other, resample by resample.

    Args:
        steps: ``[S]`` of the readings, rising, the first before any step.
        course: ``[S]`` means of the model that is fine-tuned.
        start: the mean of the model that never saw the set, before any step.
        original: that of the original.
        higher: whether a higher number says that a model knows the set better.

    Returns:
        As :func:`steps_to_regain`, of the means and of each resample.

    Example:
        >>> course = [Resampled(value, np.full(2, value)) for value in (3.0, 2.0, 1.0)]
        >>> steps_to_half(np.array([0.0, 1.0, 3.0]), course, course[0], course[2], higher=False)
        Resampled(value=1.0, drawn=array([1., 1.]))
    """
    sign = 1.0 if higher else -1.0
    known = [one.minus(start).times(sign) for one in course]
    level = original.minus(start).times(sign / 2)
    drawn = np.stack([one.drawn for one in known], axis=-1)
    found = [steps_to_regain(steps, values, half) for values, half in zip(drawn, level.drawn, strict=True)]
    value = steps_to_regain(steps, np.array([one.value for one in known]), level.value)
    return Resampled(value, np.array(found))


def disjoint_part(groups: list[str], share: float, seed: int) -> list[int]:
    """Indices of a random part of some examples, whole groups of them.

    Args:
        groups: of each example; a group of its own each, where examples are drawn by themselves.
        share: of the groups, at least one and never all.
        seed: of the draw.

    Returns:
        Ascending indices; none where there is only one group, which can't be divided.

    Example:
        >>> disjoint_part(["a", "b", "a", "b"], 0.5, 0) in ([0, 2], [1, 3])
        True
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return []
    size = min(max(1, round(share * len(names))), len(names) - 1)
    chosen = {names[index] for index in np.random.default_rng(seed).choice(len(names), size, replace=False)}
    return [index for index, group in enumerate(groups) if group in chosen]
