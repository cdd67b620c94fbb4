"""TOFU's probability of an answer, against golden values, softmax and another padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_untrac.metrics import find_measures
from lightning_untrac.outputs import Outputs
from lightning_untrac.results.measures import measure_text


def test_golden_values() -> None:
    """The two sequences of the golden values: mean losses of 0.82403983 and 4.46001321 nats."""
    b, t, v = np.ogrid[:2, :5, :6]
    logits = torch.from_numpy(2 * np.sin(1 + 3 * b + 1.7 * t + 2.3 * v))
    labels = torch.tensor([[-100, -100, 2, 4, 1], [-100, 3, 5, -100, -100]])
    targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    value, weight = find_measures("probability")[0](Outputs(logits, targets))
    np.testing.assert_allclose(value.log(), [-0.82403983, -4.46001321], atol=1e-8)
    assert weight.tolist() == [1, 1]


def test_it_is_the_geometric_mean_of_the_tokens_chances_wherever_they_stand() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 9, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 9, (3, 6), generator=generator)
    targets[1, :4], targets[2] = -100, -100
    (measure,) = find_measures("probability")
    value, weight = measure(Outputs(logits, targets))
    chances = logits.softmax(-1)
    for row, places in ((0, range(6)), (1, (4, 5))):
        product = np.prod([chances[row, place, targets[row, place]].item() for place in places])
        assert value[row].item() == pytest.approx(product ** (1 / len(places)), rel=1e-12)
    assert (value[2].isnan().item(), weight.tolist()) == (True, [1, 1, 0])
    more, none = torch.randn(3, 4, 9, generator=generator, dtype=torch.float64), torch.full((3, 4), -100)
    for left in (True, False):
        parts = [(more, none), (logits, targets)] if left else [(logits, targets), (more, none)]
        padded = measure(Outputs(*(torch.cat(tensors, 1) for tensors in zip(*parts, strict=True))))
        torch.testing.assert_close(padded.value, value, rtol=1e-12, atol=0, equal_nan=True)
        assert torch.equal(padded.weight, weight)
    alone = measure(Outputs(logits[1:2], targets[1:2]))
    assert alone.value.item() == pytest.approx(value[1].item(), rel=1e-12)


def test_it_says_what_it_is() -> None:
    text = measure_text("probability")
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == -1
