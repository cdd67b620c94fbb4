from __future__ import annotations

import math

import pytest
import torch

from lightning_untrac.functional.discoverable import log10_draws
from lightning_untrac.functional.verbatim import chance_within


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("chance", [0.999, 0.5, 0.3, 0.02, 1e-6])
def test_it_is_the_fewest_draws_that_reach_the_chance(chance: float, p: float) -> None:
    log_prob = torch.tensor(math.log(chance), dtype=torch.float64)
    n = round(10 ** log10_draws(log_prob, p).item())
    assert chance_within(log_prob, n).item() >= p * (1 - 1e-9)
    assert n == 1 or chance_within(log_prob, n - 1).item() < p


def test_it_has_no_end_where_floats_have_one() -> None:
    log_probs = torch.tensor([-30 + 1e-9, -30 - 1e-9, -1000.0, -math.inf, math.nan, 0.0], dtype=torch.float64)
    found = log10_draws(log_probs, 0.5)
    assert found[0].item() == pytest.approx(found[1].item(), abs=1e-8)
    assert found[2].item() == pytest.approx((1000 + math.log(math.log(2))) / math.log(10), rel=1e-12)
    assert found[3].item() == math.inf
    assert found[4].isnan().item()
    assert found[5].item() == 0


def test_more_is_never_easier() -> None:
    log_probs = -torch.logspace(-3, 3, 200, dtype=torch.float64)
    for p in (0.2, 0.9):
        assert (log10_draws(log_probs, p).diff() >= 0).all()
    assert (log10_draws(log_probs, 0.9) >= log10_draws(log_probs, 0.2)).all()
