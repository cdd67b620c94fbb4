"""How far two models are apart on text that they write themselves, beside how far retrained models are apart."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lightning_untrac.functional.example_means import Mean
from lightning_untrac.functional.excess import mean_of_pairs
from lightning_untrac.functional.parts import NUM_PARTS, membership
from lightning_untrac.functional.resampled import NUM_RESAMPLES, model_weights, with_interval
from lightning_untrac.functional.uncertainty import Floats, resamples


class Gaps(NamedTuple):
    """``log p(x) - log q(x)`` of text x that p has written, of each example, for one p and q or for several.

    Its expectation is the Kullback-Leibler divergence KL(p || q) of what both write, so that a mean over enough text is
    not below 0; a single text may be.

    Attributes:
        values: ``[..., E]``, nats per sampled token.
        tokens: ``[..., E]``, how many tokens were sampled; 0 where nothing was.
    """

    values: Floats
    tokens: Floats


class SampledDistances(NamedTuple):
    """Gaps in one direction; R retrained models, E examples.

    Attributes:
        to_retrained: ``[R, E]`` between the model and each retrained one.
        start: ``[R, E]`` between the original and each retrained one.
        noise: ``[R, R, E]`` between each retrained one and each other; what stands on the diagonal is not read.
    """

    to_retrained: Gaps
    start: Gaps
    noise: Gaps


class JudgedSamples(NamedTuple):
    """What gaps in one direction say, each with a 95 % interval, in nats per sampled token.

    Attributes:
        distance: d(u, r), the sum of all gaps divided by the number of all sampled tokens, mean over retrained models.
        start: d(o, r), the same of the original.
        change: ``d(u, r) - d(o, r)``: below 0 where the model is nearer to the retrained ones than the original was.
        noise: d(r, r'), the mean over pairs of retrained models; NaN with one.
        excess: ``(d(u, r) - d(r, r')) / d(o, r)``, a share: 0 where the model is as far from a retrained one as
            another one is.
    """

    distance: Mean
    start: Mean
    change: Mean
    noise: Mean
    excess: Mean


def judge_samples(distances: SampledDistances, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> JudgedSamples:
    """Means of gaps on sampled text, and what they are beside the start and the noise of retraining.

    Unlike distances on given text (:func:`~lightning_untrac.functional.excess.judge`) each gap has a length of its own.
    Intervals are those of a bootstrap over examples (or 64 random parts of them, where there are more) and over
    retrained models together; an example's samples go with it, so that what was drawn by chance is in them.

    Args:
        distances: in one direction, on one dataset.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        NaN where nothing was sampled, and where it is 0 / 0; no interval with fewer than two examples.

    Example:
        >>> gaps = lambda size, *shape: Gaps(np.full((*shape, 4), size), np.full((*shape, 4), 8.0))
        >>> judged = judge_samples(SampledDistances(gaps(0.12, 2), gaps(0.40, 2), gaps(0.05, 2, 2)))
        >>> round(judged.change.value, 2), round(judged.excess.value, 3)
        (-0.28, 0.175)
    """
    counted = np.zeros(distances.to_retrained.tokens.shape[-1], dtype=bool)
    for part in distances:
        counted |= (part.tokens > 0).reshape(-1, part.tokens.shape[-1]).any(axis=0)
    tokens = [part.tokens[..., counted].astype(np.float64) for part in distances]
    sums = [
        np.where(weights > 0, part.values[..., counted] * weights, 0.0)
        for part, weights in zip(distances, tokens, strict=True)
    ]
    if counted.sum() > NUM_PARTS:
        belongs = membership(int(counted.sum()))
        sums, tokens = [part @ belongs for part in sums], [part @ belongs for part in tokens]
    count, models = sums[0].shape[-1], len(distances.to_retrained.values)
    once = _statistics(sums, tokens, np.ones((1, count)), np.full((1, models), 1 / models))
    if counted.sum() < 2:
        return JudgedSamples(*(Mean(float(values[0]), math.nan, math.nan) for values in once))
    examples = resamples(count, num_resamples, seed).astype(np.float64)
    drawn = _statistics(sums, tokens, examples, model_weights(models, num_resamples, seed))
    return JudgedSamples(*(with_interval(float(values[0]), those) for values, those in zip(once, drawn, strict=True)))


def _statistics(sums: list[Floats], tokens: list[Floats], examples: Floats, models: Floats) -> list[Floats]:
    """All five for each resample, from how often it holds each example ``[B, E]``, and each model ``[B, R]``."""
    with np.errstate(all="ignore"):
        to_retrained, start, noise = (
            np.moveaxis((above @ examples.T) / (below @ examples.T), -1, 0)
            for above, below in zip(sums, tokens, strict=True)
        )
        distance, begin = (models * to_retrained).sum(axis=1), (models * start).sum(axis=1)
        apart = mean_of_pairs(noise, models)
        return [distance, begin, distance - begin, apart, (distance - apart) / begin]
