"""Canaries that enter training by the flip of a coin, and what their scores prove about privacy in one run."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.uncertainty import Floats

Flags = npt.NDArray[np.bool_]


class Audit(NamedTuple):
    """What a guess at canaries says.

    Attributes:
        epsilon: the training is not epsilon-differentially private for any smaller one, with the confidence asked for;
            0 where nothing is shown.
        guesses: canaries that were said to have entered.
        wrong: of them those that had not.
        entered: how many had, of all.
    """

    epsilon: float
    guesses: int
    wrong: int
    entered: int


def coin_flips(canaries: int, seed: int) -> Flags:
    """Which canaries enter training: each with probability 1/2, by itself.

    Those that enter and those that stay out are then alike but for that, so that an attack's AUC of .5 is the ideal
    without a retrained model. More canaries leave the coins of the first ones as they are.

    Args:
        canaries: how many there are.
        seed: of the coins; whoever attacks must not know it.

    Example:
        >>> bool((coin_flips(50, 3) == coin_flips(80, 3)[:50]).all()), round(float(coin_flips(4000, 0).mean()), 1)
        (True, 0.5)
    """
    flags: Flags = np.random.default_rng(seed).random(canaries) < 0.5
    return flags


def epsilon_lower_bound(guesses: int, wrong: int, confidence: float = 0.95) -> float:
    """Least epsilon (delta 0) under which so few wrong guesses are not too unlikely (Steinke et al. 2023).

    Of an epsilon-differentially private training each guess at a coin is right with a probability of at most
    ``e^epsilon / (1 + e^epsilon)``, whatever the others are. So it is the largest e with
    ``BinomCDF(wrong; guesses, 1 / (1 + e^e)) < 1 - confidence``, here from the quantile of a beta distribution.

    How many guesses there are has to be chosen before scores are seen; the best of several numbers of guesses is no
    bound.

    Args:
        guesses: coins that were guessed.
        wrong: of them.
        confidence: of the bound, above 0 and below 1.

    Raises:
        ConfigurationError: if a number is out of range.

    Example:
        >>> round(epsilon_lower_bound(100, 20), 3), epsilon_lower_bound(100, 45)
        (0.958, 0.0)
    """
    problems = [] if guesses >= 0 else [f"guesses: {guesses}; give 0 or more"]
    problems += [] if 0 <= wrong <= max(guesses, 0) else [f"wrong: {wrong} of {guesses} guesses; give 0 to {guesses}"]
    problems += [] if 0 < confidence < 1 else [f"confidence: {confidence}; give a number above 0 and below 1"]
    raise_if_any(problems)
    if wrong == guesses:
        return 0.0
    from scipy.stats import beta

    chance = float(beta.ppf(confidence, wrong + 1, guesses - wrong))
    return max(0.0, math.log1p(-chance) - math.log(chance))


def audit(scores: Floats, entered: Flags, guesses: int, confidence: float = 0.95) -> Audit:
    """Guess that the canaries of the highest scores entered, and bound epsilon by how often that is wrong.

    Args:
        scores: ``[canaries]``, higher for what looks more like a member; of equal ones the first is guessed, NaN last.
        entered: ``[canaries]`` of :func:`coin_flips`.
        guesses: how many are guessed, chosen before the scores were seen.
        confidence: of the bound.

    Raises:
        ConfigurationError: if there are fewer canaries than guesses, or scores and coins are not equally many.

    Example:
        >>> audit(np.array([5.0, 4.0, 1.0, 0.0]), np.array([True, True, False, True]), 2).wrong
        0
    """
    problems = [] if len(scores) == len(entered) else [f"scores: {len(scores)}, and {len(entered)} coins; give as many"]
    if not 0 <= guesses <= len(scores):
        problems.append(f"guesses: {guesses} of {len(scores)} canaries; give 0 to {len(scores)}")
    raise_if_any(problems)
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
    wrong = int((~entered[order[:guesses]]).sum())
    return Audit(epsilon_lower_bound(guesses, wrong, confidence), guesses, wrong, int(entered.sum()))
