"""Weights as vectors."""

from __future__ import annotations

import torch

from lightning_untrac.functional.task_arithmetic import negated


def test_negation_is_the_value_that_another_implementation_printed() -> None:
    start, tuned = torch.tensor([0.3, -0.4], dtype=torch.float64), torch.tensor([0.5, 0.1], dtype=torch.float64)
    torch.testing.assert_close(negated(start, tuned, 1.0), torch.tensor([0.1, -0.9], dtype=torch.float64))


def test_half_precision_is_computed_in_float32() -> None:
    start = torch.tensor([1.0, 256.0], dtype=torch.bfloat16)
    tuned = torch.tensor([1.0078125, 258.0], dtype=torch.bfloat16)
    expected = (2 * start.double() - tuned.double()).to(torch.bfloat16)
    assert negated(start, tuned, 1.0).dtype == torch.bfloat16
    assert torch.equal(negated(start, tuned, 1.0), expected)
