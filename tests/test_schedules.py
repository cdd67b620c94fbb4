"""Schedules that follow the length of the training, and schedules that fail on its way."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, PolynomialLR, StepLR

from lightning_untrac.schedules import follows, make_schedule, schedule_problem


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2, 2))], lr=0.5)


def rates(schedule, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("kind", "settings", "name"),
    [
        (OneCycleLR, {"max_lr": 0.5, "cycle_momentum": False}, "total_steps"),
        (CosineAnnealingLR, {}, "T_max"),
        (PolynomialLR, {"power": 2.0}, "total_iters"),
    ],
)
def test_minus_one_is_the_number_of_steps(kind, settings, name):
    one, other = sgd(), sgd()
    follower = make_schedule(partial(kind, **settings, **{name: -1}), one, 7)
    assert rates(follower, one, 7) == rates(kind(other, **settings, **{name: 7}), other, 7)


def test_only_what_asks_for_it_follows():
    assert follows(partial(OneCycleLR, max_lr=0.5)) == ("total_steps",)
    assert follows(partial(OneCycleLR, max_lr=0.5, epochs=2, steps_per_epoch=3)) == ()
    assert follows(partial(PolynomialLR)) == ()  # whose own default is 5 steps
    assert follows(lambda optimizer: StepLR(optimizer, 1)) == ()


def test_what_fails_on_the_way_is_found_without_a_model():
    short = partial(OneCycleLR, max_lr=0.5, total_steps=4, cycle_momentum=False)
    assert schedule_problem(short, sgd, 4) is None
    problem = schedule_problem(short, sgd, 6)
    assert problem is not None
    assert "fails after step 5 of 6" in problem
    assert "Tried to step 5 times" in problem
    assert schedule_problem(partial(LambdaLR, lr_lambda=lambda step: 1 / (3 - step)), sgd, 5) == (
        "fails after step 3 of 5 (division by zero); make it as long as the training. A total_steps, T_max or "
        "total_iters of -1 is the number of steps of the stage"
    )
    assert schedule_problem(partial(OneCycleLR, max_lr=0.5, pct_start=2.0, total_steps=-1), sgd, 0) is not None
