"""The mean of several models' probabilities."""

from __future__ import annotations

import math

import torch

from lightning_untrac.functional.ensemble import log_mean_probs


def test_it_is_the_log_of_the_mean_in_plain_numbers() -> None:
    rows = [[[2.0, -1.0, 0.5], [0.0, 0.0, 9.0]], [[-3.0, 1.0, 1.0], [4.0, 0.0, 0.0]]]
    found = log_mean_probs([torch.tensor(one) for one in rows])
    for place in range(2):
        probs = []
        for one in rows:
            scores = [math.exp(score) for score in one[place]]
            probs.append([score / sum(scores) for score in scores])
        for outcome in range(3):
            expected = math.log((probs[0][outcome] + probs[1][outcome]) / 2)
            assert abs(found[place, outcome].item() - expected) < 1e-6


def test_neither_the_order_nor_the_level_of_logits_counts() -> None:
    first, second, third = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = log_mean_probs([first, second, third])
    torch.testing.assert_close(log_mean_probs([third, first + 7, second - 3]), found)
    torch.testing.assert_close(log_mean_probs([first, first]), first.log_softmax(-1))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(4))


def test_a_member_that_excludes_everything_takes_half_and_not_all() -> None:
    sure = torch.tensor([0.0, -1e4])
    torch.testing.assert_close(log_mean_probs([sure, sure.flip(0)]), torch.full((2,), -math.log(2)))
