"""A training step that is the same however its batch is cut into micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.lengths import fit_steps
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.schedules import follows, make_schedule
from lightning_untrac.sharding import local_shard

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS_PER_UNIT = 1024.0
"""Micro-batch objectives are weighted by their tokens over this constant, a power of two so that the weighting itself
rounds nothing, until the optimizer step knows the true total; it keeps float16 gradients in range."""


class TokenWeightedTraining(L.LightningModule):
    """The training half of every phase: micro-batches weighted by their target tokens over accumulation and ranks.

    Lightning averages micro-batches and strategies average ranks, so that a token of a short micro-batch would count
    more than one of a long one. Here one effective batch gives one update.

    Attributes:
        model: the transformers model, once it is loaded.
        dropout: whether dropout is active in training steps.
        optimizer: makes the optimizer from the parameters.
        lr_scheduler: makes the schedule from the optimizer, or None.
    """

    model: PreTrainedModel | None
    dropout: bool
    optimizer: OptimizerCallable
    lr_scheduler: LRSchedulerCallable | None

    def __init__(self) -> None:
        super().__init__()
        self._window_tokens: Tensor | None = None

    def objective(self, batch: LanguageBatch) -> Tensor:
        """What a training step minimises: a scalar, the mean per target token of this micro-batch."""
        raise NotImplementedError(f"{type(self).__name__} defines no `objective(batch)`; it can only evaluate")

    def retained_objective(self, batch: LanguageBatch) -> Tensor:
        """What is added for the retained examples of a batch: a scalar, the mean per target token of ``batch``."""
        raise NotImplementedError(f"{type(self).__name__} defines no `retained_objective(batch)`")

    def weights_objective(self) -> Tensor | None:
        """What is added once a step, of the weights alone: a scalar, or None."""
        return None

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean loss per target token of a batch, nats, a differentiable scalar."""
        raise NotImplementedError

    def num_targets(self, batch: LanguageBatch) -> Tensor:
        """Target tokens of a batch, an int64 scalar: the weight of its objective."""
        raise NotImplementedError

    @property
    def num_replicas(self) -> int:
        """Data-parallel ranks, over which the strategy averages gradients."""
        return data_parallel_rank(self.trainer)[1]

    @property
    def _steps_in_parts(self) -> bool:
        return self.trainer.accumulate_grad_batches > 1 or self.num_replicas > 1

    @override
    def on_train_epoch_start(self) -> None:
        assert self.model is not None
        self._window_tokens = None
        # Dropout is the only difference that the mode makes to these models, and a phase may want gradients without it.
        self.model.train(self.dropout)
        self._renew_schedule()

    def _seed_dropout(self, batch_idx: int) -> None:
        """Make a step's dropout masks depend on nothing that ran before it, so that a resumed run has the same ones."""
        episode = getattr(getattr(self.trainer, "datamodule", None), "current_episode", None)
        if episode is not None:
            # Each rank has masks of its own.
            place = (episode.seed, episode.pass_index, batch_idx, self.global_rank)
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    @override
    def training_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Tensor]:
        """One micro-batch.

        The term of the batch itself, that of retained examples and that of the weights each count once in a step. The
        first is weighted by its tokens here and divided by their sum before the optimizer's step; the others, which end
        in the same gradients, are weighted so that the same division makes them right.

        Returns:
            ``loss`` for Lightning, and the detached mean ``objective`` for callbacks: the batch's own term, because in
            the sum a retained term would hide a collapse.
        """
        if self.dropout:
            self._seed_dropout(batch_idx)
        own, of_weights = self._term(self.objective, batch), self.weights_objective()
        # A step without any target takes back nothing either, however it is cut.
        first = own if of_weights is None else own + of_weights * batch.get("has_targets", True)
        retained = batch.get("retained")
        kept = None if retained is None else self._term(self.retained_objective, retained)
        total = first if kept is None else first + kept
        self._log_terms(total, own=own, retained=kept, weights=of_weights)
        objective = torch.where(total.isfinite(), own, total).detach()
        if not self._steps_in_parts:
            return {"loss": total, "objective": objective}
        num_tokens = self.num_targets(batch)
        self._window_tokens = num_tokens if self._window_tokens is None else self._window_tokens + num_tokens
        loss = first * (num_tokens / TOKENS_PER_UNIT)
        if kept is not None:
            assert retained is not None
            ratio = max(1, batch["step_targets"]) / max(1, retained["step_targets"])
            loss = loss + kept * (self.num_targets(retained).double() / TOKENS_PER_UNIT * ratio).to(kept.dtype)
        return {"loss": loss, "objective": objective}

    def _term(self, objective: Callable[[LanguageBatch], Tensor], batch: LanguageBatch) -> Tensor:
        # A share without any target (filler, or blocks of prompts only) still takes part in the backward pass; an
        # objective of its own could make a mean of nothing of it, and a NaN is not mended by a weight of 0.
        return objective(batch) if batch.get("has_targets", True) else self.mean_loss(batch) * 0

    def _log_terms(self, total: Tensor, **terms: Tensor | None) -> None:
        to_loggers = bool(self.trainer.loggers)
        self.log("train/objective", total.detach(), logger=to_loggers)
        given = {name: term for name, term in terms.items() if term is not None}
        if len(given) > 1:
            for name, term in given.items():
                self.log(f"train/{name}_term", term.detach(), logger=to_loggers)

    @override
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn the sum over micro-batches and ranks into the mean per token (before any clipping)."""
        if not self._steps_in_parts or self._window_tokens is None:
            return
        total = self.trainer.strategy.reduce(self._window_tokens, reduce_op="sum")
        self._window_tokens = None
        # Lightning has divided by the accumulation steps and the strategy by the ranks; only the tokens should count.
        divided_by = self.trainer.accumulate_grad_batches * self.num_replicas
        factor = TOKENS_PER_UNIT * divided_by / torch.as_tensor(total).clamp(min=1).double()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for gradient in gradients:
            local_shard(gradient).mul_(factor)

    @override
    def on_train_batch_end(self, outputs: Any, batch: LanguageBatch, batch_idx: int) -> None:
        # Lightning frees the gradients of a step only after the next forward pass; until then they would lie beside its
        # activations, a copy of the weights more at the peak.
        if self._window_tokens is None:
            for optimizer in self.trainer.optimizers:
                optimizer.zero_grad(set_to_none=True)

    @override
    def configure_optimizers(self) -> Any:
        """The optimizer over what is trainable, and the schedule if there is one."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not parameters:
            raise ConfigurationError(["model: no parameter is trainable; check `trainable` and `lora`"])
        optimizer = self.optimizer(parameters)
        if self.lr_scheduler is None:
            return optimizer
        steps = self._steps_of_schedule()
        # Of episodes of unequal lengths each gets a schedule of its own when it begins.
        schedule = make_schedule(self.lr_scheduler, optimizer, steps[0])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _steps_of_schedule(self) -> list[int]:
        """Optimizer steps that the schedule of each episode is made for; one number where there is one schedule."""
        assert self.lr_scheduler is not None
        if not follows(self.lr_scheduler):
            return [0]
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "active_plan"):
            return [int(self.trainer.estimated_stepping_batches)]
        steps = fit_steps(self.trainer)
        if data.active_plan.kind == "mixture":
            total, most = sum(steps), self.trainer.max_steps
            if most > 0:
                total = most if (self.trainer.max_epochs or 0) < 0 else min(total, most)
            steps = [total]
        return steps if len(set(steps)) > 1 else steps[:1]

    def _renew_schedule(self) -> None:
        """Begin an episode with a schedule of its own length, where the lengths of episodes differ."""
        if self.lr_scheduler is None or not self.trainer.lr_scheduler_configs:
            return
        if len(steps := self._steps_of_schedule()) > 1:
            optimizer = self.trainer.optimizers[0]
            schedule = make_schedule(self.lr_scheduler, optimizer, steps[self.trainer.current_epoch])
            self.trainer.lr_scheduler_configs[0].scheduler = schedule
