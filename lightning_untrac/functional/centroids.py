"""Cosines between the centroids of classes, and how they would have come out on other examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.parts import NUM_PARTS, membership
from lightning_untrac.functional.resampled import NUM_RESAMPLES, Resampled
from lightning_untrac.functional.uncertainty import Floats, resamples


class Nearness(NamedTuple):
    """Where sets of examples lie among the centroids of other examples, the mean over classes.

    Attributes:
        own: cosine of each class's centroid to that of the same class.
        other: to the nearest one of another class.
    """

    own: Resampled
    other: Resampled


def cosine_between_classes(
    states: Floats, classes: Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Resampled:
    """Mean over pairs of classes of the cosine between their centroids.

    The examples of each class are resampled among themselves (in 64 random parts, where there are more), alike for all
    models that read the same examples, and moved so that their mean is the number.

    Args:
        states: ``[n, width]``.
        classes: ``[n]`` class of each.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        NaN with fewer than two classes; without resamples where a class has one example.

    Example:
        >>> states = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
        >>> cosine_between_classes(states, np.array([0.0, 1.0, 1.0])).value
        0.0
    """
    found = np.unique(classes)
    if len(found) < 2:
        return Resampled(float("nan"), np.empty(0))
    parts = [_parts(states[classes == one], num_resamples, seed + place) for place, one in enumerate(found)]
    cosines = _cosines(parts, parts)
    beside = ~np.eye(len(found), dtype=bool)
    return _resampled(cosines[:, beside].mean(axis=1), parts)


def nearness_to_classes(
    states: Floats,
    classes: Floats,
    kept: Floats,
    kept_classes: Floats,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Nearness:
    """Where each class's centroid lies among those of other examples, the mean over the classes that both have.

    Args:
        states: ``[n, width]``, such as those that were forgotten.
        classes: ``[n]`` class of each.
        kept: ``[m, width]``, such as those that were retained.
        kept_classes: ``[m]`` alike.
        num_resamples: resamples, see :func:`cosine_between_classes`.
        seed: of the resamples.

    Returns:
        NaN where no class is in both, or ``kept`` has a single one; without resamples where a class has one example.

    Example:
        >>> kept = np.array([[1.0, 0.0], [0.0, 2.0]])
        >>> near = nearness_to_classes(np.array([[3.0, 4.0]]), np.array([0.0]), kept, np.array([0.0, 1.0]))
        >>> round(near.own.value, 6), round(near.other.value, 6)
        (0.6, 0.8)
    """
    there = np.unique(kept_classes)
    both = [one for one in np.unique(classes) if one in there]
    if not both or len(there) < 2:
        nothing = Resampled(float("nan"), np.empty(0))
        return Nearness(nothing, nothing)
    centres = [_parts(kept[kept_classes == one], num_resamples, seed + place) for place, one in enumerate(there)]
    first = seed + len(there)  # other draws than those of the centroids beside them
    mine = [_parts(states[classes == one], num_resamples, first + place) for place, one in enumerate(both)]
    cosines = _cosines(mine, centres)  # [1 + resamples, classes, centroids]
    same = np.array(both)[:, None] == there
    own = cosines[:, same].mean(axis=1)
    other = np.where(same, -np.inf, cosines).max(axis=2).mean(axis=1)
    return Nearness(_resampled(own, [*mine, *centres]), _resampled(other, [*mine, *centres]))


class _Parts(NamedTuple):
    """Examples of a class: sums of random parts ``[parts, width]``, and how often each part counts.

    ``often`` is ``[1 + resamples, parts]``, the class as it is before its resamples.
    """

    sums: Floats
    often: Floats
    size: int


def _parts(states: Floats, num_resamples: int, seed: int) -> _Parts:
    sums = states.astype(np.float64)
    if len(sums) > NUM_PARTS:
        sums = membership(len(sums)).T @ sums
    drawn = resamples(len(sums), num_resamples, seed)
    return _Parts(sums, np.concatenate([np.ones((1, len(sums))), drawn]), len(states))


def _cosines(one: Sequence[_Parts], other: Sequence[_Parts]) -> Floats:
    """``[1 + resamples, one, other]``. A centroid's length does not count, so that sums serve as well as means.

    Products of resampled sums are products of counts with those of the parts, whatever the width.
    """
    lengths = [[np.sqrt(np.maximum(_products(part, part), 0.0)) for part in side] for side in (one, other)]
    with np.errstate(invalid="ignore", divide="ignore"):  # a centroid at 0 has no direction
        rows = [
            [_products(a, b) / (lengths[0][i] * lengths[1][j]) for j, b in enumerate(other)] for i, a in enumerate(one)
        ]
    return np.clip(np.stack([np.stack(row, axis=1) for row in rows], axis=1), -1.0, 1.0)


def _products(one: _Parts, other: _Parts) -> Floats:
    products: Floats = ((one.often @ (one.sums @ other.sums.T)) * other.often).sum(axis=1)
    return products


def _resampled(values: Floats, parts: Sequence[_Parts]) -> Resampled:
    value, drawn = float(values[0]), values[1:]
    if min(part.size for part in parts) < 2:
        return Resampled(value, np.empty(0))
    # Resampling adds to the noise of a centroid, which brings it nearer to a right angle: only the spread counts.
    known = drawn[np.isfinite(drawn)]
    return Resampled(value, drawn + (value - known.mean()) if len(known) else drawn)
