"""A bound on epsilon from one run, against golden values, binomial sums and trainings whose epsilon is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.canaries import audit, audit_of_sides, coin_flips, coins_of, epsilon_lower_bound


def test_golden_values() -> None:
    assert epsilon_lower_bound(100, 20) == pytest.approx(0.95839202, abs=1e-6)
    assert epsilon_lower_bound(100, 45) == 0


@pytest.mark.parametrize(("guesses", "wrong"), [(1, 0), (30, 3), (400, 10), (1000, 0), (1000, 420)])
def test_at_the_bound_so_few_wrong_guesses_are_as_unlikely_as_was_asked_for(guesses: int, wrong: int) -> None:
    for confidence in (0.9, 0.95, 0.99):
        bound = epsilon_lower_bound(guesses, wrong, confidence)
        tail = binom.cdf(wrong, guesses, 1 / (1 + math.exp(bound)))
        if bound:
            assert tail == pytest.approx(1 - confidence, rel=1e-6)
        else:
            assert tail >= 1 - confidence


def test_more_wrong_guesses_and_more_confidence_prove_less() -> None:
    bounds = [epsilon_lower_bound(50, wrong) for wrong in range(51)]
    assert all(one >= other for one, other in itertools.pairwise(bounds))
    assert bounds[-1] == 0
    assert epsilon_lower_bound(50, 5, 0.99) < epsilon_lower_bound(50, 5, 0.9)
    assert epsilon_lower_bound(0, 0) == 0


def test_coins_are_fair_and_apart() -> None:
    flips = np.stack([coin_flips(2000, seed) for seed in range(20)])
    assert flips.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(np.corrcoef(flips)[~np.eye(20, dtype=bool)]).max() < 0.12


def test_coins_of_identities_are_fair_and_hang_on_nothing_else() -> None:
    names = [f"canary {number}" for number in range(2000)]
    coins = np.stack([coins_of(names, seed) for seed in range(20)])
    assert coins.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(np.corrcoef(coins)[~np.eye(20, dtype=bool)]).max() < 0.12
    order = np.random.default_rng(0).permutation(2000)[:500]
    assert (coins_of([names[place] for place in order], 3) == coins[3][order]).all()
    # Names and seeds that run into each other have coins of their own.
    assert (coins_of([f"1{name}" for name in names], 1) != coins_of(names, 11)).any()


def test_sides_are_audited_as_all_canaries_are_and_ties_prove_nothing() -> None:
    entered = coin_flips(400, 5)
    scores = np.random.default_rng(1).normal(2.0 * entered)
    found = audit_of_sides(scores[entered], scores[~entered])
    assert found == audit(scores, entered, 100)
    assert found.epsilon > 1
    nothing = audit_of_sides(np.zeros(200), np.zeros(200))
    assert (nothing.epsilon, nothing.wrong, nothing.guesses) == (0, 100, 100)
    known = audit_of_sides(np.array([1.0, np.nan, np.nan, np.nan]), np.full(4, np.nan), guessed=0.5)
    assert (known.guesses, known.wrong) == (4, 3)  # of those without a score the ones that stayed out
    assert audit_of_sides(np.ones(1), np.zeros(1)).guesses == 1


def test_of_randomised_response_the_bound_holds_as_often_as_it_says() -> None:
    """A mechanism that tells each coin rightly with e^eps / (1 + e^eps) has that epsilon and no smaller one."""
    for epsilon in (0.0, 1.0):
        chance, over, found = np.random.default_rng(int(epsilon)), 0, []
        for seed in range(400):
            entered = coin_flips(300, seed)
            right = chance.random(300) < math.exp(epsilon) / (1 + math.exp(epsilon))
            told = np.where(right, entered, ~entered) + 0.1 * chance.random(300)
            audited = audit(told, entered, 60)
            over += audited.epsilon > epsilon
            found.append(audited.epsilon)
        assert over / 400 < 0.08  # .05, give or take
        assert np.mean(found) > (0.4 if epsilon else -1)


def test_the_highest_scores_are_guessed_and_nan_last() -> None:
    entered = np.array([False, True, True, False, True])
    found = audit(np.array([np.nan, 3.0, -900.0, -901.0, -902.0]), entered, 3)
    assert (found.guesses, found.wrong, found.entered) == (3, 1, 3)
    same = audit(np.zeros(5), entered, 2)
    assert same.wrong == 1  # of equal ones the first


def test_what_is_wrong_is_said() -> None:
    for call, part in (
        (lambda: epsilon_lower_bound(10, 11), "wrong: 11 of 10 guesses"),
        (lambda: epsilon_lower_bound(10, 1, 1.0), "confidence: 1.0"),
        (lambda: audit(np.zeros(3), np.ones(3, dtype=bool), 4), "guesses: 4 of 3 canaries"),
        (lambda: audit(np.zeros(3), np.ones(2, dtype=bool), 1), "scores: 3, and 2 coins"),
    ):
        with pytest.raises(ConfigurationError, match=part):
            call()
