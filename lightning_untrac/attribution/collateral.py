"""Predict what unlearning a dataset costs the others, from gradients before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_untrac.attribution.gradients import DatasetGradients, PassResult
from lightning_untrac.attribution.passes import go_through
from lightning_untrac.attribution.scoring import ScoringRun
from lightning_untrac.data.passes import DatasetPass
from lightning_untrac.functional.collateral import rise_per_unit
from lightning_untrac.functional.gradients import inner_product


def predicted_rises(run: ScoringRun, forget: str, others: Sequence[str]) -> dict[str, float]:
    """How far other datasets' losses rise for each nat per token that the forget set's rises, to first order.

    Args:
        run: its Trainer, data, model and bound on the examples of each dataset.
        forget: what is to be unlearned.
        others: names of the other datasets.

    Returns:
        A number each, see :func:`~lightning_untrac.functional.collateral.rise_per_unit`.
    """
    kept: dict[str, Tensor] = {}
    products: list[Tensor] = []

    def receive(module: DatasetGradients, one: DatasetPass, result: PassResult) -> None:
        gradient = {key: tensor.cpu() for key, tensor in result.tensors.items()}
        if one.dataset == forget:
            kept.update(gradient)
        products.append(inner_product(gradient, kept))

    passes = [DatasetPass(name, "gradient", run.max_examples) for name in (forget, *others)]
    module = go_through(run, "predicted collateral damage", passes, receive)
    found = torch.stack(products)
    if module.is_sharded:
        strategy = module.trainer.strategy
        found = torch.as_tensor(strategy.reduce(found.to(strategy.root_device), reduce_op="sum")).cpu()
    return dict(zip(others, rise_per_unit(found[1:], found[0]).tolist(), strict=True))
