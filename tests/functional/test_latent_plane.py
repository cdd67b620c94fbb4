"""Several models' states in one plane: what is turned, and what stays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from lightning_untrac.functional.latent_plane import latent_planes


@pytest.fixture
def states():
    chance = np.random.default_rng(0)
    kept = chance.standard_normal((120, 6)) * np.array([9.0, 5.0, 2.0, 1.0, 0.5, 0.1]) + 40.0
    return kept, kept[:30] + chance.standard_normal((30, 6))


def test_the_plane_is_that_of_most_variance(states):
    kept, others = states
    (plane,) = latent_planes([kept], [others])
    values = np.linalg.eigvalsh(np.cov(kept.T))[::-1]
    assert plane.share == pytest.approx(values[:2].sum() / values.sum())
    # In units of the spread of what is kept, which is centred.
    assert plane.kept.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert plane.kept.var(axis=0) == pytest.approx(values[:2] / values.sum())


def test_a_space_that_is_turned_moved_and_scaled_gives_the_same_picture(states):
    kept, others = states
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    first, second = latent_planes([kept, 0.1 * kept @ turn - 3.0], [others, 0.1 * others @ turn - 3.0])
    np.testing.assert_allclose(first.kept, second.kept, atol=1e-9)
    np.testing.assert_allclose(first.others, second.others, atol=1e-9)
    assert first.share == pytest.approx(second.share)


def test_what_is_forgotten_has_no_say_in_it(states):
    kept, others = states
    before = latent_planes([kept, kept[:, ::-1]], [others, others[:, ::-1]])
    after = latent_planes([kept, kept[:, ::-1]], [others, others[:, ::-1] * 100])
    np.testing.assert_array_equal(before[1].kept, after[1].kept)


def test_a_space_of_another_width(states):
    kept, others = states
    wider = [np.concatenate([one, np.zeros((len(one), 3))], axis=1) for one in (kept, others)]
    first, second = latent_planes([kept, wider[0]], [others, wider[1]])
    np.testing.assert_allclose(first.kept, second.kept, atol=1e-9)
