"""Unlearning: ascent, or any other objective, on one dataset an episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.objectives import GradientAscent, Objective
from lightning_untrac.objectives.base import PlainObjective, retains_each_step

STATE = "unlearning_objective"
"""Where a checkpoint holds what the objective keeps."""

NO_RETAINED_DATA = (
    "model.unlearning_objective: {} needs retained data, which no batch brings; fit with a CorpusDataModule, or put "
    "into each batch a batch of them as `retained` and, into both, the target tokens of the step as `step_targets`"
)


def paper_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam with a learning rate of 5e-5, betas .9 and .999 and no weight decay: the UnTrac paper's setting (sec. 5).

    Fused: the same update to some 1e-9, and a whole step at batches of 1 is 1.2 to 1.4 times as fast on a CPU
    (``benchmarks/choices.py``).
    """
    return torch.optim.Adam(parameters, lr=5e-5, fused=True)


class Unlearning(LanguageModule):
    """Take datasets out of a trained model, one an episode.

    By default gradient ascent as UnTrac does it: Adam at a constant 5e-5 with fresh state, no clipping, no weight
    decay, and (unlike the paper's code, where it stayed on) no dropout. Override :meth:`objective` or give another
    ``unlearning_objective`` for another method.

    Between episodes :class:`~lightning_untrac.callbacks.PreUnlearningWeights` puts the weights back.

    Args:
        name_or_path: the trained model: hub name or folder.
        unlearning_objective: what a step minimises; gradient ascent by default.
        optimizer: makes the optimizer from the parameters.
        dropout: whether dropout is active in unlearning steps.
        config: see :class:`LanguageModule`; unlearning a model from scratch is for tests.
        tokenizer: see :class:`LanguageModule`.
        dtype: see :class:`LanguageModule`.
        init_seed: see :class:`LanguageModule`.
        lora: see :class:`LanguageModule`.
        trainable: see :class:`LanguageModule`.
        lr_scheduler: see :class:`LanguageModule`.
        revision: see :class:`LanguageModule`.
        trust_remote_code: see :class:`LanguageModule`.
        attn_implementation: see :class:`LanguageModule`.
        activation_checkpointing: see :class:`LanguageModule`.
        compile: see :class:`LanguageModule`.

    Example:
        A bounded ascent, by subclassing:

        >>> class ClampedAscent(Unlearning):
        ...     def objective(self, batch):
        ...         return -self.mean_loss(batch).clamp(max=6.0)
    """

    episode_kind: ClassVar[EpisodeKind] = "each_corpus"
    log_losses: ClassVar[bool] = False

    def __init__(
        self,
        name_or_path: str | None = None,
        *,
        unlearning_objective: Objective | None = None,
        optimizer: OptimizerCallable = paper_adam,
        dropout: bool = False,
        config: dict[str, Any] | None = None,
        tokenizer: str | None = None,
        dtype: str = "float32",
        init_seed: int = 0,
        lora: dict[str, Any] | None = None,
        trainable: Sequence[str] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        attn_implementation: str | None = None,
        activation_checkpointing: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__(
            name_or_path,
            optimizer=optimizer,
            dropout=dropout,
            config=config,
            tokenizer=tokenizer,
            dtype=dtype,
            init_seed=init_seed,
            lora=lora,
            trainable=trainable,
            lr_scheduler=lr_scheduler,
            revision=revision,
            trust_remote_code=trust_remote_code,
            attn_implementation=attn_implementation,
            activation_checkpointing=activation_checkpointing,
            compile=compile,
        )
        objective = unlearning_objective or GradientAscent()
        self.unlearning_objective = objective if isinstance(objective, Objective) else PlainObjective(objective)
        self.episode_status = "ok"
        self.episode_ended = False

    # -- what a step minimises -------------------------------------------------------------------------------------

    @property
    def needs_retain(self) -> bool:
        """Whether there must be corpora beside the unlearned one; the DataModule asks."""
        return self.retains_each_step or self.unlearning_objective.needs_retain

    @property
    def retains_each_step(self) -> bool:
        """Whether the DataModule puts a batch of retained examples beside each batch."""
        its_own = type(self).retained_objective is not Unlearning.retained_objective
        return its_own or retains_each_step(self.unlearning_objective)

    @override
    def objective(self, batch: LanguageBatch) -> Tensor:
        return self.unlearning_objective(self, batch)

    @override
    def retained_objective(self, batch: LanguageBatch) -> Tensor:
        return self.unlearning_objective.on_retained(self, batch)

    @override
    def weights_objective(self) -> Tensor | None:
        return self.unlearning_objective.on_weights(self)

    @override
    def strategy_problems(self, strategy: Any) -> list[str]:
        found = super().strategy_problems(strategy)
        if not self.unlearning_objective.needs_whole_weights or not isinstance(
            strategy, FSDPStrategy | ModelParallelStrategy
        ):
            return found
        return [
            *found,
            f"trainer.strategy: {self._objective_name} keeps copies of whole weights, and {type(strategy).__name__} "
            "shards them; use --trainer.strategy auto (one device) or ddp, or an objective that keeps none "
            "(AscentWithRetainLoss)",
        ]

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.unlearning_objective.underflows_in_float16 and str(self.trainer.precision).startswith("16"):
            raise ConfigurationError(
                [
                    f"trainer.precision: {self.trainer.precision}; small numbers of {self._objective_name} are lost in "
                    "float16; use bf16-mixed, or leave it out"
                ]
            )

    @property
    def _objective_name(self) -> str:
        return type(self.unlearning_objective).__name__

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if state := self.unlearning_objective.state_dict():
            checkpoint[STATE] = state

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if STATE in checkpoint:
            self.unlearning_objective.load_state_dict(checkpoint[STATE])

    # -- what an objective may ask for -----------------------------------------------------------------------------

    def forward_with(self, weights: dict[str, Tensor], batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits and targets with other weights in the trainable parameters' place, without gradient or dropout.

        Args:
            weights: by the parameters' names in the model.
            batch: as for ``forward``.
        """
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        with torch.no_grad(), self._without_dropout():
            return torch.func.functional_call(self, named, (batch,))

    def loss_gradient(self, batch: LanguageBatch) -> dict[str, Tensor]:
        """Gradient of the mean loss per token by the parameters that it reaches, without dropout; none is kept."""
        parameters = self.trainable_parameters()
        with self._without_dropout(), self.trainer.precision_plugin.train_step_context():
            loss = self.mean_loss(batch)
        # Not `backward`, which would set off a strategy's exchange of gradients.
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        return {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}

    def retained_examples(self, count: int) -> Iterator[LanguageBatch]:
        """At most ``count`` examples that the current episode is to keep, one a batch, the same on every rank."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "retained_dataloader"):
            raise ConfigurationError([NO_RETAINED_DATA.format(self._objective_name)])
        for batch in data.retained_dataloader(count):
            yield self.trainer.strategy.batch_to_device(batch)

    @contextmanager
    def _without_dropout(self) -> Iterator[None]:
        assert self.model is not None
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)

    # -- episodes --------------------------------------------------------------------------------------------------

    def end_episode(self, status: str = "ok") -> None:
        """Take no further step in this episode, read the losses once more, and go on with the next one.

        Args:
            status: what the last readings carry: ``ok`` for an episode that has gone far enough, ``collapsed`` or
                ``nonfinite`` for one that has gone wrong.
        """
        self.episode_status, self.episode_ended = status, True

    @override
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.episode_status, self.episode_ended = "ok", False
        episode = getattr(getattr(self.trainer, "datamodule", None), "current_episode", None)
        # A later epoch over the same mixture goes on from moved weights.
        if (self.current_epoch if episode is None else episode.pass_index) == 0:
            self.unlearning_objective.prepare(self)

    @override
    def on_train_batch_start(self, batch: LanguageBatch, batch_idx: int) -> int | None:
        if self.retains_each_step and "retained" not in batch:
            raise ConfigurationError([NO_RETAINED_DATA.format(self._objective_name)])
        # Lightning's documented way to skip the rest of an epoch.
        return -1 if self.episode_ended else None
