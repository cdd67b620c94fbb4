"""Neighbours: which tokens are replaced, by what, and that chance is of the example alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from lightning_untrac.functional.neighbours import (
    draws_of,
    neighbourhood_score,
    other_tokens,
    replaced_places,
)


def test_a_share_of_the_places_is_replaced_and_no_other() -> None:
    places = torch.zeros(40, dtype=torch.bool)
    places[10:30] = True
    counts = torch.zeros(40)
    for neighbour in range(200):
        chosen = replaced_places(places, draws_of("a", 0, neighbour), 0.3)
        assert len(chosen.unique()) == 6
        counts[chosen] += 1
    assert counts[~places].sum() == 0
    assert chisquare(counts[places].numpy()).pvalue > 1e-3
    assert len(replaced_places(torch.tensor([True]), draws_of("a", 0, 0))) == 1
    assert len(replaced_places(torch.tensor([False]), draws_of("a", 0, 0))) == 0


def test_chance_is_of_data_set_example_neighbour_and_seed() -> None:
    first = draws_of("a", 1, 2).random(3).tolist()
    assert draws_of("a", 1, 2).random(3).tolist() == first
    for other in (draws_of("b", 1, 2), draws_of("a", 2, 1), draws_of("a", 1, 3), draws_of("a", 1, 2, seed=1)):
        assert other.random(3).tolist() != first


def test_others_are_drawn_in_proportion_to_what_is_left() -> None:
    logits = torch.tensor([2.0, 0.5, 1.0, -1.0, 30.0, -torch.inf]).expand(20_000, 6)
    drawn = other_tokens(logits, torch.full((20_000,), 4), np.random.default_rng(0), never=[0])
    shares = torch.tensor([0.5, 1.0, -1.0]).double().softmax(0).numpy()
    counts = drawn.bincount(minlength=6)
    assert counts[[0, 4, 5]].sum() == 0
    assert chisquare(counts[[1, 2, 3]].numpy(), shares * 20_000).pvalue > 1e-3


def test_a_token_that_leaves_next_to_nothing_to_others_still_has_neighbours() -> None:
    logits = torch.tensor([[3000.0, 1.0, 1.0]])
    drawn = {int(other_tokens(logits, torch.tensor([0]), np.random.default_rng(i))) for i in range(20)}
    assert drawn == {1, 2}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_score_and_types(dtype: torch.dtype) -> None:
    assert other_tokens(torch.zeros(3, 2, dtype=dtype), torch.tensor([0, 1, 0]), np.random.default_rng(0)).tolist() == [
        1, 0, 1
    ]  # fmt: skip
    score = neighbourhood_score(torch.tensor([-1.0, -2.0]), torch.tensor([[-3.0, -2.0], [-2.0, -2.0]]))
    assert score.tolist() == [-1.5, 0.0]
