"""How much likelier sequences are than to a model that never saw them: GenEx, and RelEx in two readings."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import torch

from lightning_untrac.functional.example_means import ENDS, Mean
from lightning_untrac.functional.parts import NUM_PARTS, part_of
from lightning_untrac.functional.resampled import model_weights
from lightning_untrac.functional.uncertainty import Floats, resamples

BITS: Final = 1 / math.log(2)
"""Bits of a nat."""

NUM_RESAMPLES: Final = 1000

_AT_ONCE: Final = 4096
"""Sequences whose resamples are in memory together."""


def log_mean_exp(log_probs: Floats) -> Floats:
    """Logarithm of the mean probability over models, without leaving the logarithms.

    Args:
        log_probs: ``[models, ...]``, nats.

    Returns:
        ``[...]``.

    Example:
        >>> log_mean_exp(np.array([-1000.0, -1000.0])).item()
        -1000.0
    """
    from scipy.special import logsumexp

    found: Floats = logsumexp(log_probs, axis=0) - math.log(len(log_probs))
    return found


def generalised_exposure(unlearned: Floats, retrained: Floats) -> Floats:
    """GenEx: ``log E[p_u(x)] - log E[p_r(x)]`` of each sequence x, in nats.

    The first mean is over models that are judged (one, or seeds of one unlearning), the second over models that never
    saw x. 0 is perfect; above 0 the sequence is likelier than it should be, below 0 it was forgotten too well. With one
    model on each side it is the difference of two log-likelihoods.

    Our reading of "generalised exposure" (Baluta et al. 2024, arXiv 2411.04388), whose text could not be had: a
    logarithmic difference of expected likelihoods. If every output of unlearning were at most ``exp(eps)`` times
    as likely as after retraining, no GenEx would be above eps. In bits: times :data:`BITS`.

    Args:
        unlearned: ``[K, sequences]`` sums of log-probabilities under the K models judged, nats. With means over target
            tokens in their place, here and below, it is the length-normalised form.
        retrained: ``[R, sequences]`` likewise, under R models that never saw them.

    Returns:
        ``[sequences]``.

    Example:
        >>> u, r = np.array([[-10.0], [-11.0], [-9.5]]), np.array([[-14.0], [-13.0], [-15.5]])
        >>> round(generalised_exposure(u, r).item(), 4)
        3.7326
    """
    return log_mean_exp(unlearned) - log_mean_exp(retrained)


def relative_exposure(log_probs: Floats, unseen: Floats) -> Floats:
    """RelEx, first reading: ``log p(x) - log E[p(z)]`` over fresh, unseen sequences z of the same generator.

    It needs no retrained model. Above 0 x is likelier than unseen sequences like it. Where lengths differ, give means
    over target tokens. Whether it is what Baluta et al. call relative exposure is not known.

    Args:
        log_probs: ``[sequences]``, nats.
        unseen: ``[unseen sequences]`` under the same model.

    Example:
        >>> round(relative_exposure(np.array([-2.0]), np.log([0.1, 0.3])).item(), 4)  # -2 - log .2
        -0.3906
    """
    return log_probs - log_mean_exp(unseen)


class Summary(NamedTuple):
    """What is said of a set from GenEx of its sequences.

    Attributes:
        mean: of all sequences, with a 95 % interval; those too likely and those too unlikely may cancel.
        mean_size: mean of the values without their signs, with a 95 % interval.
        largest: of the sequence that is the likeliest beside retraining; resamples give it no interval.
    """

    mean: Mean
    mean_size: Mean
    largest: Mean


def summarise_exposure(
    unlearned: Floats, retrained: Floats, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Summary:
    """Mean, mean size and largest GenEx of a set; intervals resample sequences and the models of each side together.

    Args:
        unlearned: ``[K, sequences]``, see :func:`generalised_exposure`.
        retrained: ``[R, sequences]``.
        num_resamples: resamples.
        seed: of the resamples.

    Returns:
        NaN without a sequence; no interval with fewer than two.

    Example:
        >>> same = np.array([[-3.0, -5.0]])
        >>> summarise_exposure(same, same).mean_size
        Mean(value=0.0, low=0.0, high=0.0)
    """
    count = unlearned.shape[1]
    if not count:
        return Summary(*(Mean(math.nan, math.nan, math.nan) for _ in Summary._fields))
    values = generalised_exposure(unlearned, retrained)
    mean, mean_size, largest = float(values.mean()), float(np.abs(values).mean()), float(values.max())
    nothing = (math.nan, math.nan)
    ends = [nothing, nothing]
    if count > 1 and np.isfinite(values).all():
        # Around the value: resamples hold fewer different models, whose mean probability has a smaller logarithm.
        drawn = _drawn(unlearned, retrained, num_resamples, seed)
        around = [side - side.mean() + value for side, value in zip(drawn, (mean, mean_size), strict=True)]
        ends = [(float(low), float(high)) for low, high in (np.quantile(side, ENDS) for side in around)]
    return Summary(Mean(mean, *ends[0]), Mean(mean_size, max(0.0, ends[1][0]), ends[1][1]), Mean(largest, *nothing))


def _drawn(unlearned: Floats, retrained: Floats, num_resamples: int, seed: int) -> list[Floats]:
    """Mean and mean size of GenEx in each resample; of many sequences random parts are drawn."""
    ours = model_weights(len(unlearned), num_resamples, seed)
    theirs = model_weights(len(retrained), num_resamples, seed + 1)  # the sides are drawn apart
    count = unlearned.shape[1]
    parts = part_of(torch.arange(count)).numpy() if count > NUM_PARTS else np.arange(count)
    sums, sizes = np.zeros((2, num_resamples, min(count, NUM_PARTS)))
    for begin in range(0, count, _AT_ONCE):
        here = slice(begin, begin + _AT_ONCE)
        again = _weighted(unlearned[:, here], ours) - _weighted(retrained[:, here], theirs)
        belongs = (parts[here, None] == np.arange(sums.shape[1])).astype(np.float64)
        sums += again @ belongs
        sizes += np.abs(again) @ belongs
    filled = np.bincount(parts, minlength=sums.shape[1]).astype(np.float64)
    used = filled > 0
    how_often = resamples(int(used.sum()), num_resamples, seed)
    total = how_often @ filled[used]
    return [(how_often * side[:, used]).sum(axis=1) / total for side in (sums, sizes)]


def _weighted(log_probs: Floats, weights: Floats) -> Floats:
    """``[resamples, sequences]``: logarithms of means over models that are weighted anew in each resample."""
    if weights.shape[1] < 3:  # each resample takes one model
        return log_probs[weights.argmax(axis=1)]
    best = log_probs.max(axis=0)
    with np.errstate(divide="ignore"):  # a resample may leave out all models that hold a sequence possible
        found: Floats = np.log(weights @ np.exp(log_probs - best)) + best
    return found
