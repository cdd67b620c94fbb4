"""End an episode whose model has collapsed."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional import uniform_guess_loss


class CollapseGuard(Callback):
    """Stop an episode when the model is far worse than knowing nothing, or when a number is not finite.

    Ascent has no bottom: losses of hundreds of nats per token say how a broken model is broken, not what a corpus
    taught. The guard looks at the objective of every micro-batch and at every reading. When one passes the cap the
    losses are read once more, the episode ends, and the readings from then on carry the status ``collapsed`` or
    ``nonfinite``; the readings before stay as they are.

    Args:
        cap: nats per token; by default twice the loss of a uniform guess, ``2 ln V``. ``inf`` looks for non-finite
            numbers only (the UnTrac paper's own runs collapse: its curves reach hundreds of nats).
    """

    def __init__(self, cap: float | None = None) -> None:
        self.cap = cap

    def _cap(self, module: Any) -> float:
        return 2 * uniform_guess_loss(module.vocabulary_size) if self.cap is None else self.cap

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: object,
                           batch_idx: int) -> None:  # fmt: skip
        # A user's own training_step may return its loss alone.
        worst = outputs.get("objective", outputs["loss"]).detach().abs()
        if trainer.world_size > 1:
            # Every rank must end the episode at the same batch. A maximum may lose a NaN, but no infinity.
            worst = torch.where(worst.isfinite(), worst, math.inf)
            worst = torch.as_tensor(trainer.strategy.reduce(worst, reduce_op="max"))
        self._judge(pl_module, worst)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._judge(pl_module, pl_module.dataset_losses.losses().token_loss)  # type: ignore[union-attr, operator]

    def _judge(self, module: Any, losses: Tensor) -> None:
        if getattr(module, "episode_status", "ok") != "ok":
            return
        worst = losses.max().item()  # a NaN anywhere makes a NaN
        if not math.isfinite(worst):
            module.end_episode("nonfinite")
        elif worst > self._cap(module):
            module.end_episode("collapsed")
