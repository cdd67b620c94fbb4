"""Unlearning: ascent, or any other objective, on one dataset an episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.objectives import GradientAscent, Objective


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
        self.unlearning_objective = unlearning_objective or GradientAscent()
        self.episode_status = "ok"
        self.episode_ended = False

    @override
    def objective(self, batch: LanguageBatch) -> Tensor:
        return self.unlearning_objective(self, batch)

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

    @override
    def on_train_batch_start(self, batch: LanguageBatch, batch_idx: int) -> int | None:
        # Lightning's documented way to skip the rest of an epoch.
        return -1 if self.episode_ended else None
