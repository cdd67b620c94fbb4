"""How much work each method is for given data: what ``untrac plan`` multiplies with measured speeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightning_untrac.callbacks.reading_schedule import reading_steps
from lightning_untrac.data import CorpusDataModule, EpisodePlan
from lightning_untrac.data.sampling import evaluation_batches
from lightning_untrac.functional.costs import Work

SAMPLED_LENGTHS = 20_000
"""Examples whose lengths stand for all of them: sorting millions for every episode would hold up a run."""


@dataclass(frozen=True)
class Asked:
    """What ``untrac plan`` was asked about.

    Attributes:
        data: the datasets, prepared.
        seeds: as for ``trace``.
        steps: optimizer steps of an episode; None for a method's own length.
        readings: as for ``trace``.
        max_examples: as for ``trace``.
        retains: whether the objective reads retained data in each step.
        training_steps: what the training of the model took; None where that is not known.
        training_batch_size: examples of a step of that training; None where that is not known.
    """

    data: CorpusDataModule
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    readings: int | Sequence[int] = 8
    max_examples: int | None = None
    retains: bool = False
    training_steps: int | None = None
    training_batch_size: int | None = None


def episode_work(
    data: CorpusDataModule,
    plan: EpisodePlan,
    readings: int | Sequence[int],
    fits: int = 1,
    accumulation: int = 1,
    replicas: int = 1,
) -> Work:
    """The work of a method with episodes.

    Args:
        data: the datasets, prepared.
        plan: the episodes; those that are finished do not count.
        readings: see ``ReadingSchedule``.
        fits: how often the losses at the start weights are read.
        accumulation: micro-batches of an optimizer step.
        replicas: ranks that share the work.

    Returns:
        Optimizer steps, and the tokens that one rank steps on and reads.
    """
    before = data.plan
    data.plan = plan
    try:
        episodes = plan.episodes(data.corpus_names, data.test_set_names)
        steps, tokens, number, largest = 0, 0.0, fits, 0.0
        every = {name: data.training_examples(name).lengths() for name in [*data.corpus_names, *data.test_set_names]}
        sizes = {name: len(lengths) for name, lengths in every.items()}
        stride = 1 + sum(sizes.values()) // SAMPLED_LENGTHS
        sampled = {name: lengths[::stride] for name, lengths in every.items()}
        for episode in episodes:
            sampler = data.sampler(episode, accumulation, 0, replicas)
            lengths = np.concatenate([sampled[name] for name in episode.trains_on])
            drawn_from = sum(sizes[name] for name in episode.drawn_from or episode.trains_on)
            stays = sum(sizes[name] for name in episode.trains_on) / drawn_from
            batch = max(1, round(min(sampler.batch_size, drawn_from) * stays))
            steps += sampler.num_steps
            examples = min(sampler.effective_batch_size, drawn_from) * stays / replicas
            # Rows of a batch are as long as its longest.
            tokens += sampler.num_steps * examples * _padded(lengths, batch)
            largest = max(largest, batch * float(lengths.max()))
            number += len(reading_steps(readings, sampler.num_steps))
        read_tokens, read_batches = reading_size(data)
    finally:
        data.plan = before
    return Work(
        len(episodes),
        steps,
        tokens,
        number,
        read_tokens / replicas,
        math.ceil(read_batches / replicas),
        batch_tokens=largest,
    )


def _padded(lengths: np.ndarray, batch: int) -> float:
    """Expected length of the longest of ``batch`` examples drawn at random."""
    ordered = np.sort(lengths)
    ranks = np.arange(1, len(ordered) + 1) / len(ordered)
    return float(np.sum(ordered * np.diff(np.concatenate([[0.0], ranks**batch]))))


def reading_size(data: CorpusDataModule) -> tuple[float, int]:
    """Tokens (padding included) and batches of a reading of the active plan."""
    lengths = data.evaluation_data().lengths()
    batches = list(evaluation_batches(lengths, data.eval_batch_size))
    return float(sum(len(batch) * lengths[batch].max() for batch in batches)), len(batches)


def pass_work(data: CorpusDataModule, max_examples: int | None = None) -> Work:
    """One forward and backward pass over every corpus and test set, without a step.

    Args:
        data: the datasets, prepared.
        max_examples: of each dataset; all of them where None.
    """
    total, largest = 0.0, 0.0
    for name in [*data.corpus_names, *data.test_set_names]:
        lengths = data.training_examples(name).lengths()
        part = 1.0 if max_examples is None else min(1.0, max_examples / len(lengths))
        total += part * float(lengths.sum())
        largest = max(largest, min(data.eval_batch_size, len(lengths)) * float(lengths.max()))
    return Work(gradient_tokens=total, batch_tokens=largest)


def times(work: Work, factor: float) -> Work:
    """So many times the passes."""
    return replace(work, gradient_tokens=work.gradient_tokens * factor)
