"""How far a model is from those that were retrained without a forget set, beside how far these are apart."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import Mean
from lightning_untrac.functional.parts import NUM_PARTS, membership
from lightning_untrac.functional.resampled import NUM_RESAMPLES, model_weights, with_interval
from lightning_untrac.functional.uncertainty import Floats, resamples


class Distances(NamedTuple):
    """Distances of one kind on one dataset, example by example; R retrained models, E examples.

    Attributes:
        to_retrained: ``[R, E]`` of the model to each retrained one.
        to_original: ``[E]`` of the model to the original.
        start: ``[R, E]`` of the original to each retrained one.
        noise: ``[R, R, E]`` of each retrained one to each other; what stands on the diagonal is not read.
        weights: ``[E]`` how much an example counts; 0 where it does not.
    """

    to_retrained: Floats
    to_original: Floats
    start: Floats
    noise: Floats
    weights: Floats


class Judged(NamedTuple):
    """What distances say, each with a 95 % interval.

    Attributes:
        distance: d(u, r), the mean over examples and retrained models r.
        original: d(u, o).
        start: d(o, r).
        noise: d(r, r'), the mean over pairs; NaN with one retrained model.
        excess: ``(d(u, r) - d(r, r')) / d(o, r)``: 0 where the model is as far from a retrained one as another one is,
            1 or a little less where it is as far as the original, below 0 where it is nearer.
        nearer: ``d(u, r) / (d(u, r) + d(u, o))``: below 1/2 the model is nearer to the retrained ones than to the
            original.
    """

    distance: Mean
    original: Mean
    start: Mean
    noise: Mean
    excess: Mean
    nearer: Mean


def judge(distances: Distances, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> Judged:
    """Means of distances, the excess over the noise of retraining, and which of two models is nearer.

    Intervals are those of a bootstrap over examples (or 64 random parts of them, where there are more) and over
    retrained models together (see ``model_weights``). How far other pairs would have been apart can be told from three
    models on.

    Args:
        distances: of one kind, on one dataset.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        NaN where nothing counts, and where it is 0 / 0; no interval with fewer than two examples.

    Example:
        >>> ones = np.ones(4)
        >>> d = Distances(0.12 * ones[None], 0.30 * ones, 0.40 * ones[None], 0.05 * ones[None, None], ones)
        >>> two = Distances(*(np.repeat(x, 2, axis=0) for x in d[:1]), d[1], np.repeat(d[2], 2, axis=0),
        ...                 np.full((2, 2, 4), 0.05), ones)
        >>> judged = judge(two)
        >>> round(judged.excess.value, 4), round(judged.nearer.value, 4)
        (0.175, 0.2857)
    """
    counted = distances.weights > 0
    weights = distances.weights[counted].astype(np.float64)
    sums = [part[..., counted].astype(np.float64) * weights for part in distances[:4]]
    if len(weights) > NUM_PARTS:
        belongs = membership(len(weights))
        sums, weights = [part @ belongs for part in sums], weights @ belongs
    count, models = len(weights), len(distances.to_retrained)
    once = _statistics(sums, weights, np.ones((1, count)), np.full((1, models), 1 / models))
    if count < 2:
        return Judged(*(Mean(float(values[0]), math.nan, math.nan) for values in once))
    examples = resamples(count, num_resamples, seed).astype(np.float64)
    drawn = _statistics(sums, weights, examples, model_weights(models, num_resamples, seed))
    return Judged(*(with_interval(float(values[0]), those) for values, those in zip(once, drawn, strict=True)))


def _statistics(sums: list[Floats], weights: Floats, examples: Floats, models: Floats) -> list[Floats]:
    """All six for each resample, from how often it holds each example ``[B, E]``, and each model ``[B, R]``."""
    with np.errstate(all="ignore"):
        total = examples @ weights
        to_retrained, to_original, start, noise = (
            np.moveaxis(part @ examples.T, -1, 0) / total.reshape(-1, *[1] * (part.ndim - 1)) for part in sums
        )
        apart = mean_of_pairs(noise, models)
        distance, begin = (models * to_retrained).sum(axis=1), (models * start).sum(axis=1)
        excess, nearer = (distance - apart) / begin, distance / (distance + to_original)
    return [distance, to_original, begin, apart, excess, nearer]


def mean_of_pairs(noise: Floats, models: Floats) -> Floats:
    """The mean distance between two retrained models.

    Args:
        noise: ``[B, R, R]`` of each to each other; what stands on the diagonal is not read.
        models: ``[B, R]`` how much each model counts.

    Returns:
        ``[B]``; NaN with one model.
    """
    others = 1 - np.eye(models.shape[1])
    pairs = models[:, :, None] * models[:, None, :] * others
    # One model of two makes no pair; then the pair that there is counts as it is.
    pairs = np.where(pairs.sum(axis=(1, 2), keepdims=True) > 0, pairs, others)
    return np.asarray(np.where(pairs > 0, pairs * noise, 0.0).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2)))
