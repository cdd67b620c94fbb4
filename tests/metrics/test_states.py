"""How torchmetrics joins the states of our metrics over ranks: no state keeps its default, which adds nothing up."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import torch
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_sum

from lightning_untrac import metrics

ARGUMENTS = {"DatasetLoss": (3,)}
"""What each metric is made with. A new one needs a line here."""

SUMMED = {"DatasetLoss": {"loss_sums", "example_mean_sums", "num_tokens", "num_examples"}}
"""States that are sums over examples. Others need another reduction, and a line of their own."""


def shipped() -> dict[str, type[Metric]]:
    """All classes with states that a module of the package defines."""
    found = {}
    for one in pkgutil.iter_modules(metrics.__path__):
        module = importlib.import_module(f"{metrics.__name__}.{one.name}")
        found |= {
            name: cls
            for name, cls in vars(module).items()
            if isinstance(cls, type) and issubclass(cls, Metric) and cls.__module__ == module.__name__
        }
    return found


def test_every_metric_is_looked_at() -> None:
    assert shipped().keys() == ARGUMENTS.keys() == SUMMED.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_sums_are_summed_over_ranks(name: str) -> None:
    metric = shipped()[name](*ARGUMENTS[name])
    assert metric._reductions.keys() == SUMMED[name]
    for state, reduce in metric._reductions.items():
        assert reduce is dim_zero_sum, f"{name}.{state}: give dist_reduce_fx='sum'"
        default = metric._defaults[state]
        assert isinstance(default, torch.Tensor)
        assert not default.any(), f"{name}.{state}: a sum starts at 0, or it is counted once a rank"
        assert default.dtype in (torch.float64, torch.int64), f"{name}.{state}: {default.dtype} loses digits over ranks"
