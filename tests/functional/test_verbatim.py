from __future__ import annotations

import math

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper

from lightning_untrac.functional import IGNORE_INDEX, example_losses
from lightning_untrac.functional.verbatim import chance_within, log_of_rest, verbatim_log_probs


@pytest.fixture
def pass_() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 5, (3, 4), generator=generator)
    targets[1, 0] = IGNORE_INDEX
    return torch.randn(3, 4, 5, generator=generator, dtype=torch.float64), targets


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.7, None), (1.0, 3), (1.5, 4)])
def test_it_is_the_product_of_the_chances_with_which_transformers_draws(
    pass_: tuple[torch.Tensor, torch.Tensor], temperature: float, top_k: int | None
) -> None:
    logits, targets = pass_
    found, counts = verbatim_log_probs(logits, targets, 1, None, temperature, top_k)
    for row in range(3):
        expected = 1.0
        for place in (targets[row] != IGNORE_INDEX).nonzero().flatten().tolist()[1:]:
            scores = logits[row, place][None]
            scores = TemperatureLogitsWarper(temperature)(None, scores) if temperature != 1 else scores
            scores = scores if top_k is None else TopKLogitsWarper(top_k)(None, scores)
            expected *= scores.softmax(-1)[0, targets[row, place]].item()
        assert found[row].exp().item() == pytest.approx(expected, rel=1e-12)
    assert counts.all()


def test_the_chances_of_all_continuations_are_1(pass_: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Of logits that depend on nothing, as here, over all texts of two tokens."""
    logits = pass_[0][:1, :2].expand(25, 2, 5)
    every = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    for how in ((0.8, None), (1.0, 2)):
        found, _ = verbatim_log_probs(logits, every, 0, None, *how)
        assert found.exp().sum().item() == pytest.approx(1)


def test_without_a_prefix_it_is_the_log_likelihood_of_the_text(pass_: tuple[torch.Tensor, torch.Tensor]) -> None:
    found, _ = verbatim_log_probs(*pass_, 0)
    assert found.tolist() == pytest.approx((-example_losses(*pass_)[0]).tolist(), rel=1e-12)


def test_a_text_that_is_too_short_has_no_chance_and_no_infinite_one_spoils_it(
    pass_: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found, counts = verbatim_log_probs(*pass_, 2, 2)
    assert counts.tolist() == [True, False, True]
    assert found.isnan().tolist() == [False, True, False]


def test_golden_chances() -> None:
    assert chance_within(torch.tensor(0.02, dtype=torch.float64).log(), 100).item() == pytest.approx(0.86738044)
    ends = torch.tensor([0.0, -math.inf, -1e-9, -800.0], dtype=torch.float64)
    assert chance_within(ends, 7).tolist() == pytest.approx([1, 0, 1, 0], abs=1e-12)
    # A chance of exp(-40) a draw is far below what 1 - p tells apart.
    tiny = torch.tensor([-40.0], dtype=torch.float64)
    assert chance_within(tiny, 1000).item() == pytest.approx(1000 * math.exp(-40), rel=1e-12)


def test_both_forms_of_the_rest_meet() -> None:
    near = torch.tensor([-math.log(2) - 1e-9, -math.log(2) + 1e-9], dtype=torch.float64)
    assert log_of_rest(near).tolist() == pytest.approx([math.log(0.5)] * 2, abs=1e-8)
