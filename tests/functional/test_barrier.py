"""How high the loss rises between two models."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_untrac.functional.barrier import loss_barrier


def test_the_published_form() -> None:
    losses = np.array([1, 1.4, 1.9, 1.5, 1.2])
    assert loss_barrier(losses, np.linspace(0, 1, 5)) == pytest.approx(0.8)


def test_it_is_that_of_each_example_and_zero_without_a_rise() -> None:
    losses = np.array([[1.0, 3.0], [1.5, 1.0], [2.0, 1.0]])
    assert loss_barrier(losses, np.array([0.0, 0.5, 1.0])).tolist() == [0.0, 0.0]
    assert loss_barrier(losses + np.array([[0], [2], [0]]), np.array([0.0, 0.5, 1.0])).tolist() == [2.0, 1.0]
