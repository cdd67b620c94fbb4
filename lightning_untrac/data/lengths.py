"""How long a fit is: micro-batches and optimizer steps of each episode or pass, known before it starts."""

from __future__ import annotations

import math
from typing import Any

from lightning_untrac.data.checks import data_parallel_rank


def limited(batches: int, limit: float | None) -> int:
    """Batches that are left where the Trainer's ``limit_train_batches`` holds.

    Args:
        batches: without it.
        limit: an integer for a number of batches, a float for a share of them, None for all.

    Example:
        >>> limited(10, 3), limited(10, 0.5), limited(10, 1.0), limited(2, 3)
        (3, 5, 10, 2)
    """
    if limit is None:
        return batches
    return int(batches * limit) if isinstance(limit, float) else min(batches, limit)


def episode_steps(data: Any, accumulation: int = 1, replicas: int = 1, limit: float | None = None) -> list[int]:
    """Optimizer steps of each episode of a DataModule's plan (of one pass, where it is the mixture).

    Args:
        data: a ``CorpusDataModule``, prepared.
        accumulation: micro-batches of a step.
        replicas: data-parallel ranks.
        limit: the Trainer's ``limit_train_batches``.
    """
    lengths = [len(data.sampler(episode, accumulation, 0, replicas)) for episode in data.episodes()]
    return [math.ceil(limited(length, limit) / accumulation) for length in lengths]


def fit_steps(trainer: Any) -> list[int]:
    """Optimizer steps of each epoch of a fit; of one pass, where it has no last one (``max_epochs`` -1).

    Args:
        trainer: with a ``CorpusDataModule``, prepared.
    """
    _, replicas = data_parallel_rank(trainer)
    steps = episode_steps(trainer.datamodule, trainer.accumulate_grad_batches, replicas, trainer.limit_train_batches)
    return steps[: trainer.max_epochs] if (trainer.max_epochs or 0) > 0 else steps
