"""A training step that is the same however its batch is cut into micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
from lightning_untrac.objectives.objective import Part, as_parts
from lightning_untrac.objectives.terms import Seen
from lightning_untrac.schedules import follows, make_schedule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NO_TOTALS = (
    "trainer: with accumulate_grad_batches or several devices each batch has to say how many targets its whole "
    "effective batch has, and these don't; fit with a CorpusDataModule, or put `step_tokens` and `step_sequences` "
    "(sums over all micro-batches and ranks of the step) into each batch"
)


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum, without a 0 in front that would be one more operation."""
    first, *others = values
    for value in others:
        first = first + value
    return first


class StepTraining(L.LightningModule):
    """The training half of every phase: a step that is the same however its effective batch is cut.

    Lightning averages micro-batches and strategies average ranks, so that a token (or sequence) of a small share would
    count more than one of a large one. Here the sampler says how many tokens and sequences the whole effective batch
    has, and a micro-batch contributes ``total / total of the step`` of every term.

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
        self._stepped = False

    def see(self, batch: LanguageBatch) -> Seen:
        """One forward pass over each stream of a batch."""
        raise NotImplementedError

    def objective(self, seen: Seen) -> Any:
        """What a training step minimises.

        Args:
            seen: the outputs of one forward pass a stream; the model is not run again.

        Returns:
            A list of :class:`~lightning_untrac.objectives.Part`, one :class:`~lightning_untrac.objectives.Term` (over
            the tokens of ``seen.forget``), or a scalar that is a mean per target token.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no `objective(seen)`; it can only evaluate")

    @property
    def draws_masks(self) -> bool:
        """Whether a step draws dropout masks."""
        return self.dropout

    @property
    def num_replicas(self) -> int:
        """Data-parallel ranks, over which the strategy averages gradients."""
        return data_parallel_rank(self.trainer)[1]

    @property
    def pieces(self) -> int:
        """Micro-batches that an effective batch is cut into, over accumulation and ranks."""
        return self.trainer.accumulate_grad_batches * self.num_replicas

    @override
    def on_train_epoch_start(self) -> None:
        assert self.model is not None
        # Dropout is the only difference that the mode makes to these models, and a phase may want gradients without it.
        self.model.train(self.dropout)
        self._renew_schedule()

    def without_dropout(self) -> AbstractContextManager[None]:
        """Evaluation mode inside, the mode that it was in afterwards."""
        return self._in_mode(training=False)

    def with_dropout(self) -> AbstractContextManager[None]:
        """Training mode inside, the mode that it was in afterwards."""
        return self._in_mode(training=True)

    @contextmanager
    def _in_mode(self, training: bool) -> Iterator[None]:
        assert self.model is not None
        was_training = self.model.training
        self.model.train(training)
        try:
            yield
        finally:
            self.model.train(was_training)

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

        Returns:
            ``loss`` for Lightning; and, detached, for callbacks: the ``objective`` of this micro-batch, and the
            ``measured_loss`` of its forget examples in nats per target token.
        """
        if self.draws_masks:
            self._seed_dropout(batch_idx)
        seen = self.see(batch)
        parts = as_parts(self.objective(seen), seen)
        values = [self.weighted(part, seen, pieces=1) for part in parts]
        total = sum_of(values)
        self._log_parts(total, {part.name: value for part, value in zip(parts, values, strict=True)})
        pieces = self.pieces
        shares = values if pieces == 1 else [self.weighted(part, seen, pieces) for part in parts]
        loss = total if pieces == 1 else sum_of(shares)
        self._before_backward(shares, batch, batch_idx)
        return {"loss": loss, "objective": total.detach(), "measured_loss": seen.forget.measured_loss}

    def step_loss(self, batch: LanguageBatch) -> Tensor:
        """What a step minimises whose whole effective batch this is, a differentiable scalar."""
        seen = self.see(batch)
        return sum_of(self.weighted(part, seen, pieces=1) for part in as_parts(self.objective(seen), seen))

    def _before_backward(self, shares: list[Tensor], batch: LanguageBatch, batch_idx: int) -> None:
        """For phases that need the gradients of some parts by themselves: what each contributes to the step."""

    def weighted(self, part: Part, seen: Seen, pieces: int) -> Tensor:
        """A micro-batch's contribution to the step: after accumulation and ranks were averaged the sum is right.

        Args:
            part: of its objective.
            seen: what it was made from.
            pieces: that the effective batch is cut into.

        Raises:
            ConfigurationError: if the batch is one of several and does not say what the whole has.
        """
        if part.stream is None:  # a value of the weights; a step without any target takes back nothing either
            whole = seen.forget.batch.get("step_tokens", int(seen.forget.has_targets))
            return part.term.total * (part.weight if whole else 0.0)
        outputs = seen.of(part.stream)
        if pieces == 1:
            mean = part.term.total / outputs.count(part.unit).clamp(min=1)
            return mean if part.weight == 1 else part.weight * mean
        batch = outputs.batch
        if "step_tokens" not in batch:
            raise ConfigurationError([NO_TOTALS])
        tokens, sequences = batch["step_tokens"], batch["step_sequences"]
        of_step = {"token": tokens, "sequence": sequences, "later_token": tokens - sequences}[part.unit]
        return part.term.total * (part.weight * pieces / max(1, of_step))

    def _log_parts(self, total: Tensor, values: dict[str, Tensor]) -> None:
        to_loggers = bool(self.trainer.loggers)
        self.log("train/objective", total.detach(), logger=to_loggers)
        if len(values) > 1:
            for name, value in values.items():
                self.log(f"train/{name}_term", value.detach(), logger=to_loggers)

    @override
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self._stepped = True

    @override
    def on_train_batch_end(self, outputs: Any, batch: LanguageBatch, batch_idx: int) -> None:
        # Lightning frees the gradients of a step only after the next forward pass; until then they would lie beside its
        # activations, a copy of the weights more at the peak.
        if self._stepped:
            self._stepped = False
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
