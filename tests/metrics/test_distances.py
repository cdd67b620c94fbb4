"""Distances between two models on a batch, against torch's own functions."""

from __future__ import annotations

import torch
from torch.nn.functional import kl_div

from lightning_untrac.metrics.distances import distances

TARGETS = torch.tensor([[-100, 1, 2, -100], [3, 0, -100, -100], [-100, -100, -100, -100]])


def logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def test_they_are_the_differences_of_losses_and_the_mean_divergence_at_target_tokens() -> None:
    one, other = logits(0), logits(1)
    found = distances(one, other, TARGETS)
    for row, places in ((0, [1, 2]), (1, [0, 1])):
        mine, theirs = (x[row, places].log_softmax(-1) for x in (one, other))
        chosen = TARGETS[row, places].unsqueeze(1)
        gap = (mine.gather(1, chosen) - theirs.gather(1, chosen)).sum().abs() / 2
        torch.testing.assert_close(found["loss_gap"].value[row], gap)
        torch.testing.assert_close(
            found["kl_divergence"].value[row], kl_div(mine, theirs, log_target=True, reduction="sum") / 2
        )
    assert found["loss_gap"].weight.tolist() == found["kl_divergence"].weight.tolist() == [2, 2, 0]


def test_prompts_and_padding_change_nothing_and_a_model_is_at_no_distance_from_itself() -> None:
    one, other = logits(0), logits(1)
    moved = one.clone()
    moved[TARGETS == -100] += 7 * torch.rand(5, dtype=torch.float64)
    for name, said in distances(moved, other, TARGETS).items():
        torch.testing.assert_close(said.value[:2], distances(one, other, TARGETS)[name].value[:2])
    for said in distances(one, one, TARGETS).values():
        assert said.value[:2].abs().max() == 0


def test_impossible_tokens_count_where_the_other_model_holds_them_possible() -> None:
    sure = torch.tensor([[[0.0, -torch.inf]]])
    even = torch.zeros(1, 1, 2)
    target = torch.tensor([[0]])
    torch.testing.assert_close(distances(even, sure, target)["kl_divergence"].value, torch.tensor([2.0]).log().double())
    assert distances(sure, even, target)["kl_divergence"].value.isinf()
    assert distances(sure, sure, target)["kl_divergence"].value == 0
