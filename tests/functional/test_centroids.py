"""Cosines between centroids, against closed forms and a bootstrap by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.centroids import cosine_between_classes, nearness_to_classes


def around(angles, count=200, noise=0.05, seed=0, width=5, length=1.0):
    """Examples about the directions of some angles in the plane of the first two axes; their classes."""
    chance = np.random.default_rng(seed)
    centres = np.zeros((len(angles), width))
    centres[:, 0], centres[:, 1] = np.cos(angles), np.sin(angles)
    classes = np.repeat(np.arange(len(angles), dtype=float), count)
    return length * centres[classes.astype(int)] + noise * chance.standard_normal((len(classes), width)), classes


def test_between_classes_it_is_the_cosine_of_the_angles():
    angles = np.array([0.0, 0.7, 2.0])
    states, classes = around(angles, noise=0.0, length=3.0)
    expected = np.mean([np.cos(one - other) for place, one in enumerate(angles) for other in angles[:place]])
    found = cosine_between_classes(states, classes)
    assert found.value == pytest.approx(expected)
    assert found.drawn == pytest.approx(np.full(2000, expected))  # nothing differs by chance


def test_orthogonal_and_opposite_classes():
    states = np.array([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0], [0.0, -1.0]])
    # Four of the six pairs are at right angles, two are opposite.
    assert cosine_between_classes(states, np.arange(4.0)).value == pytest.approx(-2 / 6)


def test_turning_and_scaling_the_space_changes_nothing():
    states, classes = around([0.1, 1.0, 2.5], noise=0.3)
    forgotten, theirs = around([0.4, 1.3, 2.2], count=30, noise=0.3, seed=1)
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0] * 4.0
    for one, other in zip(
        (cosine_between_classes(states, classes), *nearness_to_classes(forgotten, theirs, states, classes)),
        (
            cosine_between_classes(states @ turn, classes),
            *nearness_to_classes(forgotten @ turn, theirs, states @ turn, classes),
        ),
        strict=True,
    ):
        assert one.value == pytest.approx(other.value)
        assert one.drawn == pytest.approx(other.drawn)


def test_where_forgotten_examples_lie_between_two_classes():
    kept, classes = around([0.0, np.pi / 2], noise=0.0)
    forgotten, theirs = around([0.3, np.pi / 2 - 0.3], noise=0.0, length=0.1)
    near = nearness_to_classes(forgotten, theirs, kept, classes)
    assert near.own.value == pytest.approx(np.cos(0.3))
    assert near.other.value == pytest.approx(np.sin(0.3))


def test_a_class_that_is_not_retained_is_left_out():
    kept, classes = around([0.0, 1.0], noise=0.0)
    forgotten, theirs = around([0.2, 1.0, 2.0], noise=0.0)
    near = nearness_to_classes(forgotten, theirs, kept, classes)
    assert near.own.value == pytest.approx((np.cos(0.2) + 1) / 2)


def test_the_interval_is_that_of_a_bootstrap_of_examples():
    kept, classes = around([0.0, 1.2], count=40, noise=0.8)
    forgotten, theirs = around([0.5, 0.9], count=25, noise=0.8, seed=1)
    found = nearness_to_classes(forgotten, theirs, kept, classes).own
    chance, drawn = np.random.default_rng(5), []
    for _ in range(2000):
        cosines = []
        for one in (0.0, 1.0):
            a, b = forgotten[theirs == one], kept[classes == one]
            a, b = (side[chance.integers(len(side), size=len(side))].mean(axis=0) for side in (a, b))
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        drawn.append(np.mean(cosines))
    assert found.drawn.std() == pytest.approx(np.std(drawn), rel=0.1)
    assert found.drawn.mean() == pytest.approx(found.value)  # and not where resampling pulls it


def test_the_interval_of_few_noisy_examples_holds_their_number():
    kept, classes = around([0.0, 1.2], count=300, noise=0.3, width=64)
    forgotten, theirs = around([0.0, 1.2], count=15, noise=0.3, seed=1, width=64)
    for found in nearness_to_classes(forgotten, theirs, kept, classes):
        assert found.mean.low < found.value < found.mean.high


def test_many_examples_are_resampled_in_parts_with_the_same_spread():
    states, classes = around([0.0, 1.2], count=1500, noise=1.5)
    found = cosine_between_classes(states, classes).drawn.std()
    chance, drawn = np.random.default_rng(5), []
    for _ in range(300):
        a, b = (states[classes == one][chance.integers(1500, size=1500)].mean(axis=0) for one in (0.0, 1.0))
        drawn.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert found == pytest.approx(np.std(drawn), rel=0.35)  # 64 parts know a spread to about 9 %, 300 draws to 4 %


def test_nothing_is_said_of_too_little():
    states, classes = around([0.0, 1.0], count=3)
    assert np.isnan(cosine_between_classes(states[:3], classes[:3]).value)
    one = cosine_between_classes(states[:4], classes[:4])  # a single example of a class
    assert np.isfinite(one.value)
    assert not len(one.drawn)
    assert np.isnan(nearness_to_classes(states, classes, states[:3], classes[:3]).own.value)
    assert np.isnan(nearness_to_classes(states, classes + 7, states, classes).own.value)
