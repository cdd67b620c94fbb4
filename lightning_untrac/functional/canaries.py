"""Canaries that enter training by the flip of a coin, and what their scores prove about privacy in one run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.uncertainty import Floats

Flags = npt.NDArray[np.bool_]

GUESSED: Final = 0.25
"""Share of all canaries that are guessed to have entered, unless one says otherwise; fixed before any score is seen."""


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


def coins_of(identities: Iterable[str], seed: int) -> Flags:
    """Which canaries enter training, each by a coin of its own that its identity and the seed make.

    Unlike those of :func:`coin_flips` these coins do not hang on places: other canaries, another order or a filter
    leave a canary's coin as it is. They are the first bits of SHA-256 digests.

    Args:
        identities: of the canaries, all different.
        seed: of the coins; whoever attacks must not know it.

    Example:
        >>> coins = coins_of("abcdefgh", 0)
        >>> bool((coins_of("hgfedcba", 0) == coins[::-1]).all()), int(coins_of(map(str, range(1000)), 7).sum())
        (True, 511)
    """
    digests = (hashlib.sha256(f"coin {seed}\x1f{identity}".encode()).digest() for identity in identities)
    flags: Flags = np.array([digest[0] < 128 for digest in digests], dtype=np.bool_)
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


def guesses_among(canaries: int, guessed: float = GUESSED) -> int:
    """How many canaries are guessed to have entered: a share of all, rounded down, at least one where there is any.

    Args:
        canaries: of both sides together.
        guessed: the share.

    Example:
        >>> guesses_among(200), guesses_among(3), guesses_among(0)
        (50, 1, 0)
    """
    return min(canaries, max(1, int(guessed * canaries)))


def audit_of_sides(entered: Floats, stayed_out: Floats, guessed: float = GUESSED, confidence: float = 0.95) -> Audit:
    """The audit of canaries by the two sides that they fell on.

    Of equal scores, and of canaries without any, those that stayed out are guessed first: an order by sides would tell
    the coins, and this one can only make the bound smaller.

    Args:
        entered: scores of those that entered, higher for what looks more like a member; NaN for none.
        stayed_out: of the others.
        guessed: share of all canaries that are guessed, at least one of them.
        confidence: of the bound.

    Example:
        >>> audit_of_sides(np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, np.nan]), guessed=0.5).wrong
        1
    """
    scores = np.concatenate([stayed_out, entered])
    flags = np.arange(len(scores)) >= len(stayed_out)
    return audit(scores, flags, guesses_among(len(scores), guessed), confidence)
