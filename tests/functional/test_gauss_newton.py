"""Damped steps on a quadratic, in float64."""

from __future__ import annotations

import pytest
import torch

from lightning_untrac.functional.gauss_newton import scale_to_budget

A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)  # forget loss 0.5 x'Ax + c'x
C = torch.tensor([1.0, -2.0], dtype=torch.float64)
X = torch.tensor([0.3, -0.4], dtype=torch.float64)
G = torch.tensor([[3.0, 0.2], [0.2, 0.5]], dtype=torch.float64)  # of what stays
GRADIENT = A @ X + C


def test_the_step_is_the_value_that_another_implementation_printed() -> None:
    step = torch.linalg.solve(G, GRADIENT)
    step = step * scale_to_budget(float(GRADIENT @ step), float(step @ step), 0.0, 0.01)
    torch.testing.assert_close(step, torch.tensor([0.03224177, -0.19709534], dtype=torch.float64), rtol=0, atol=1e-8)


@pytest.mark.parametrize("damping", [0.0, 0.1, 3.0])
def test_a_damped_step_spends_the_budget(damping: float) -> None:
    step = torch.linalg.solve(G + damping * torch.eye(2, dtype=torch.float64), GRADIENT)
    scale = scale_to_budget(float(GRADIENT @ step), float(step @ step), damping, 0.02)
    assert float(0.5 * (scale * step) @ G @ (scale * step)) == pytest.approx(0.02, rel=1e-12)
    assert scale_to_budget(float(GRADIENT @ step), float(step @ step), 0.0, 0.02) <= scale


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_no_curvature_gives_no_size(slope: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number above 0"):
        scale_to_budget(slope, 1.0, 0.0, 0.01)
