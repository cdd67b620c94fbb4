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
from lightning_untrac.modules.guessing import guess_loss
from lightning_untrac.sharding import local_shard

OF_A_LANGUAGE_MODEL, OF_A_CLASSIFIER = 2, 10
"""Times the loss of a uniform guess at which a model has collapsed."""


class CollapseGuard(Callback):
    """Stop an episode when the model is far worse than knowing nothing, or when a number is not finite.

    Ascent has no bottom: losses of hundreds of nats per token say how a broken model is broken, not what a corpus
    taught. The guard looks at the *measured loss* of every micro-batch of the forget set and at every reading, in nats
    per token, whatever the objective is; and whether that, the objective and the gradient are finite. When a loss
    passes the cap the losses are read once more, the episode ends, and the readings from then on carry the status
    ``collapsed`` or ``nonfinite``; the readings before stay as they are. What the first step measures is the
    pre-unlearning model itself, which did not collapse.

    Args:
        cap: nats per token; by default twice the loss of a uniform guess, ``2 ln V``, and of a classifier ten times
            that, ``10 ln C``, because being sure of another class is no collapse. ``inf`` looks for non-finite numbers
            only (the UnTrac paper's own runs collapse: its curves reach hundreds of nats).
    """

    def __init__(self, cap: float | None = None) -> None:
        self.cap = cap
        self._gradient: Tensor | None = None
        self._steps, self._judges = 1, True  # a run that is resumed inside an episode has made its first step

    def _cap(self, module: Any) -> float:
        if self.cap is not None:
            return self.cap
        times = OF_A_LANGUAGE_MODEL if guess_loss(module) is not None else OF_A_CLASSIFIER
        return times * uniform_guess_loss(module.num_outcomes)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._gradient, self._steps, self._judges = None, 0, False

    @override
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self._steps += 1
        if trainer.precision_plugin.precision == "16-mixed":
            return  # its scaler leaves such a step out by itself and tries a smaller scale
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        # The Euclidean norm takes a tenth of the maximum's time: half a percent of a step of 2.3M weights on a CPU. Its
        # squares leave float32 above some 1e19 an element.
        norms = torch._foreach_norm([local_shard(gradient) for gradient in gradients])
        self._gradient = torch.stack([norm.float() for norm in norms]).max() if norms else None

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: object,
                           batch_idx: int) -> None:  # fmt: skip
        # A user's own training_step may return its loss alone, which may be anything that is finite.
        objective = outputs.get("objective", outputs["loss"]).detach()
        measured = outputs.get("measured_loss", torch.zeros_like(objective)).detach().abs()
        # A finite number stands for all that is finite, so that one wait for the device is enough.
        unseen = [objective] if self._gradient is None else [objective, self._gradient]
        finite = torch.stack([value.isfinite() for value in unseen]).all()
        worst = torch.where(finite & measured.isfinite(), measured, math.inf)
        if trainer.world_size > 1:
            # Every rank must end the episode at the same batch.
            worst = torch.as_tensor(trainer.strategy.reduce(worst.double(), reduce_op="max"))
        # What the first step measures is the model before it.
        self._judge(pl_module, worst, self._cap(pl_module) if self._judges else math.inf)
        self._gradient, self._judges = None, self._steps > 0

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            losses: Tensor = pl_module.dataset_losses.losses().token_loss  # type: ignore[union-attr, operator]
            self._judge(pl_module, losses, self._cap(pl_module))

    def _judge(self, module: Any, losses: Tensor, cap: float) -> None:
        if getattr(module, "episode_status", "ok") != "ok":
            return
        worst = losses.max().item()  # a NaN anywhere makes a NaN
        if not math.isfinite(worst):
            module.end_episode("nonfinite")
        elif worst > cap:
            module.end_episode("collapsed")
