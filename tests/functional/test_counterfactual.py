"""Counterfactual memorisation and difficulty from values of models that did and did not see a sequence."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.counterfactual import counterfactual_memorisation, difficulty


def test_closed_forms_and_invariances() -> None:
    chance = np.random.default_rng(0)
    seen, never = chance.random((3, 20)), chance.random((4, 20))
    found = counterfactual_memorisation(seen, never)
    naive = [np.mean([s[i] for s in seen]) - np.mean([n[i] for n in never]) for i in range(20)]
    np.testing.assert_allclose(found, naive)
    np.testing.assert_allclose(counterfactual_memorisation(seen[::-1], never[[2, 0, 3, 1]]), found)
    assert np.abs(counterfactual_memorisation(seen, seen)).max() == 0
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(counterfactual_memorisation(never, seen), -found)


def test_a_memorised_random_sequence_is_memorised_by_all_that_chance_does_not_give() -> None:
    assert counterfactual_memorisation(np.ones((1, 1)), np.full((2, 1), 1 / 384)).item() == pytest.approx(1 - 1 / 384)
    assert difficulty(np.full((3, 2), np.log(384))).tolist() == pytest.approx([np.log(384)] * 2)
