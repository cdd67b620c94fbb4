"""A step's retained examples have partners for what it forgets; nothing is drawn more often for it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lightning_untrac.data.stratified import StratifiedOrder, classes_of, stratified
from lightning_untrac.data.streams import RetainedOrder
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tasks import Task

RETAINED = np.array([0] * 30 + [1] * 6 + [2] * 2 + [-1] * 4)
FORGOTTEN = np.array([0, 1, 2, 0, 1, 2, 2, 0, 0, 0, 1, -1])

ASKS = SimpleNamespace(stratifies=True)


def rows(classes: Any) -> list[dict[str, np.ndarray]]:
    """A class each; -1 for a text of several targets."""
    return [{"labels": np.array([3, 3]) if one == -1 else np.array([-100, one])} for one in classes]


def steps(size: int, passes: int = 1) -> list[np.ndarray]:
    return [FORGOTTEN_ROWS[start : start + size] for _ in range(passes) for start in range(0, 12, size)]


FORGOTTEN_ROWS = np.arange(12)


def drawn(size: int, times: int, seed: int, passes: int = 1, **other: Any) -> list[np.ndarray]:
    order = StratifiedOrder([38, 4], None, seed, retained=RETAINED, forgotten=FORGOTTEN, **other)
    return list(order.beside(iter(steps(size, passes)), times))


@pytest.mark.parametrize(("size", "times"), [(1, 2), (2, 2), (3, 1), (4, 1), (6, 2), (12, 1)])
@pytest.mark.parametrize("seed", range(8))
def test_each_anchor_has_partners(size: int, times: int, seed: int) -> None:
    for step, found in zip(steps(size), drawn(size, times, seed), strict=True):
        assert len(found) == len(step) * times
        classes = set(RETAINED[found].tolist()) - {-1}
        for anchor in set(FORGOTTEN[step].tolist()) - {-1}:
            assert anchor in classes
            assert classes - {anchor}


def test_without_it_partners_are_missing() -> None:
    """Or the test above would hold for any order."""
    plain = RetainedOrder([38, 4], None, 0).beside(iter(steps(3)), 1)
    assert any(
        set(FORGOTTEN[step].tolist()) - set(RETAINED[found].tolist()) - {-1}
        for step, found in zip(steps(3), plain, strict=True)
    )


def test_nothing_is_drawn_more_often() -> None:
    found = np.concatenate(drawn(6, 2, seed=1, passes=35))  # twenty times through 42 examples
    counts = Counter(found.tolist())
    assert len(found) == 840
    assert sum(RETAINED[found] == 2) / 840 == pytest.approx(2 / 42, abs=0.05)
    assert max(counts[i] for i in range(36)) <= 22  # of the plentiful classes
    plain = Counter(np.concatenate(list(RetainedOrder([38, 4], None, 1).beside(iter(steps(6, 35)), 2))).tolist())
    assert set(plain.values()) == {20}


def test_the_order_is_that_of_the_seed() -> None:
    one, again, other = drawn(4, 1, 3), drawn(4, 1, 3), drawn(4, 1, 4)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_step_that_is_too_small_takes_what_it_can() -> None:
    (found,) = StratifiedOrder([3], None, 0, retained=np.array([0, 1, 2]), forgotten=np.array([1])).beside(
        iter([np.array([0])]), 1
    )
    assert found.tolist() == [1]  # a partner of its own class comes first


def test_texts_without_a_class_keep_their_order() -> None:
    order = RetainedOrder([4], None, 0)
    assert stratified(order, rows([-1, -1]), rows([-1] * 4), ASKS, 8) is order
    assert stratified(order, rows([0, 1]), rows([0, 1]), SimpleNamespace(), 8) is order
    assert classes_of(rows([2, -1, 0])).tolist() == [2, -1, 0]
    by_word = SimpleNamespace(stratifies=True, task=Task("token_classification", ("harbour", "kitchen")))
    assert stratified(order, rows([1, -1]), rows([-1, 1, -1, -1]), by_word, 8) is order  # some have one word's class


def test_classes_without_partners_are_said() -> None:
    order = RetainedOrder([4], None, 0)
    with pytest.raises(ConfigurationError, match=r"class 2 and 3 has no retained example .*`stratified: false`"):
        stratified(order, rows([0, 2, 3]), rows([0, 1, 1, 0]), ASKS, 8)
    with pytest.raises(ConfigurationError, match=r"all retained examples are of class 1, .* no other class to go to"):
        stratified(order, rows([1]), rows([1, 1, 1, -1]), ASKS, 8)
    named = SimpleNamespace(stratifies=True, task=Task("sequence_classification", ("harbour", "kitchen")))
    with pytest.raises(ConfigurationError, match="all retained examples are of class kitchen"):
        stratified(order, rows([1]), rows([1, 1]), named, 8)
    with pytest.raises(ConfigurationError, match=r"data\.batch_size: a step has 1 retained example, and each one"):
        stratified(order, rows([1]), rows([0, 1]), ASKS, 1)
    assert isinstance(stratified(order, rows([1]), rows([1, 0, 1, -1]), ASKS, 8), StratifiedOrder)
