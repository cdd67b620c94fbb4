"""Means of several models over the same resamples of examples, so that they can be held against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import ENDS, Mean
from lightning_untrac.functional.parts import NUM_PARTS, membership
from lightning_untrac.functional.uncertainty import Floats, resamples

NUM_RESAMPLES: Final = 2000


class Resampled(NamedTuple):
    """A number, and what it would have been on other examples (and with other retrained models).

    Attributes:
        value: the number.
        drawn: ``[resamples]``; empty where chance can't be told.
    """

    value: float
    drawn: Floats

    def minus(self, other: Resampled) -> Resampled:
        """The difference, with what moves both alike taken out: both are of the same resamples."""
        with np.errstate(invalid="ignore"):
            return Resampled(self.value - other.value, self.drawn - other.drawn)

    def times(self, factor: float) -> Resampled:
        """A multiple."""
        return Resampled(self.value * factor, self.drawn * factor)

    @property
    def mean(self) -> Mean:
        """The number and the 95 % interval of its resamples."""
        return with_interval(self.value, self.drawn)


def resampled_means(
    values: Sequence[Floats], weights: Sequence[Floats], num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> list[Resampled]:
    """``sum(value * weight) / sum(weight)`` of each of M models, over the same bootstrap resamples of examples.

    Examples of each dataset are resampled among themselves (or in 64 random parts, where there are more), so that the
    sizes of datasets stay as they are.

    Args:
        values: ``[M, E]`` for each dataset.
        weights: ``[M, E]`` alike; examples of weight 0 do not count.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        One a model; NaN where nothing counts, and without resamples where fewer than two examples count.

    Example:
        >>> ones = np.ones((1, 2))
        >>> (mean,) = resampled_means([np.array([[1.0, 3.0]]), np.array([[8.0, 8.0]])], [ones, ones])
        >>> mean.value, float(mean.drawn.min()), float(mean.drawn.max())
        (5.0, 4.5, 5.5)
    """
    every = zip(values, weights, strict=True)
    with np.errstate(all="ignore"):  # losses that are not finite, and datasets in which nothing counts
        sums = [_sums(*one, num_resamples, seed + place) for place, one in enumerate(every)]
        examples, total, weight, drawn, under = (np.sum(part, axis=0) for part in zip(*sums, strict=True))
        means, resampled = total / weight, drawn / under
    if examples < 2:
        resampled = resampled[:0]
    return [Resampled(float(mean), resampled[:, model]) for model, mean in enumerate(means)]


def _sums(values: Floats, weights: Floats, num_resamples: int, seed: int) -> tuple[int, Floats, Floats, Floats, Floats]:
    """Of one dataset: examples that count, ``[M]`` sums of values and of weights, ``[B, M]`` the same of resamples."""
    counted = (weights > 0).any(axis=0)
    heavy = weights[:, counted].astype(np.float64)
    sums = np.where(heavy > 0, values[:, counted] * heavy, 0.0)
    total, weight = sums.sum(axis=1), heavy.sum(axis=1)
    if sums.shape[1] > NUM_PARTS:
        belongs = membership(sums.shape[1])
        sums, heavy = sums @ belongs, heavy @ belongs
    size = sums.shape[1]
    often = resamples(max(1, size), num_resamples, seed)[:, :size].astype(np.float64)
    return int(counted.sum()), total, weight, often @ sums.T, often @ heavy.T


def mean_of_models(models: Sequence[Resampled], seed: int = 0) -> Resampled:
    """The mean of models that differ by chance alone, with that chance in its resamples.

    Args:
        models: of the same resamples.
        seed: of the weights, see :func:`model_weights`.
    """
    drawn = np.stack([one.drawn for one in models], axis=1)
    with np.errstate(invalid="ignore"):
        weighted = (drawn * model_weights(len(models), len(drawn), seed)).sum(axis=1)
    return Resampled(float(np.mean([one.value for one in models])), weighted)


def model_weights(models: int, num_resamples: int, seed: int) -> Floats:
    """Random weights ``[resamples, models]`` that sum to 1; a weighted mean has the variance of a mean of so many.

    Retrained models are weighted at random (Rubin's Bayesian bootstrap), with weights whose spread is that of a mean of
    so many: of two models each resample takes one.

    Args:
        models: how many there are.
        num_resamples: resamples.
        seed: of the weights.
    """
    chance = np.random.default_rng((seed, models))
    if models < 3:
        return np.eye(models)[chance.integers(models, size=num_resamples)]
    return chance.dirichlet(np.full(models, (models - 2) / models), size=num_resamples)


def with_interval(value: float, drawn: Floats) -> Mean:
    """A number with the 95 % interval of its resamples; without one where there are none, or where it is not finite.

    Args:
        value: the number.
        drawn: ``[resamples]``; those that are not finite are left out.
    """
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(drawn):
        return Mean(value, math.nan, math.nan)
    low, high = np.quantile(drawn, ENDS)
    return Mean(value, float(low), float(high))
