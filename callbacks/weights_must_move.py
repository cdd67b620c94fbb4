"""Refuse a training run in which nothing was trained, or which ended in no numbers at all."""

from __future__ import annotations

import math

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.errors import UnlearningError
from lightning_untrac.naming import counted
from lightning_untrac.sharding import local_shard, reshard


class WeightsMustMove(Callback):
    """An error at the end of a fit if no trainable parameter has changed, or if one is not finite.

    LoRA with gradient checkpointing can train nothing without a word (open-unlearning #178). For phases that keep no
    copy of their first weights; sums of each parameter stand for them here.

    Raises:
        UnlearningError: if every sum is what it was, or one is NaN or infinite.
    """

    def __init__(self) -> None:
        self._before: list[tuple[float, float]] = []

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._before = _sums(pl_module)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        after, steps = _sums(pl_module), counted(trainer.global_step, "step")
        moved = after != self._before
        if not trainer.strategy.reduce_boolean_decision(
            all(math.isfinite(x) for pair in after for x in pair), all=True
        ):
            raise UnlearningError(
                f"the weights are not finite after {steps}: training has diverged; use a lower "
                "learning rate, or --trainer.gradient_clip_val 1"
            )
        if not trainer.strategy.reduce_boolean_decision(moved, all=False):
            raise UnlearningError(
                f"no weight moved in {steps}: check the learning rate, `trainable`, and with LoRA "
                "and gradient checkpointing that the model's inputs require gradients"
            )


def _sums(module: L.LightningModule) -> list[tuple[float, float]]:
    sums = []
    reshard(module)
    model = getattr(module, "model", None)  # what else is trained beside it is not kept
    for parameter in (model if isinstance(model, torch.nn.Module) else module).parameters():
        if parameter.requires_grad:
            values = local_shard(parameter).detach().double()
            sums.append((values.sum().item(), values.abs().sum().item()))
    return sums
