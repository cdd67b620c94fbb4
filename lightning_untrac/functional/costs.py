"""What a trace costs, from a few measured seconds: the cost model of episodes and of passes over data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Speeds:
    """How fast a model is on a machine.

    Attributes:
        step: seconds of an optimizer step whatever its batch (the optimizer's own).
        step_token: seconds of a token forward and backward.
        reading_batch: seconds of a reading's batch whatever its size.
        reading_token: seconds of a token read.
        copy: seconds to put the weights back.
    """

    step: float
    step_token: float
    reading_batch: float
    reading_token: float
    copy: float = 0.0


@dataclass(frozen=True)
class Work:
    """How much there is to do.

    Attributes:
        episodes: runs from the pre-unlearning weights.
        steps: optimizer steps of all episodes together.
        step_tokens: tokens (padding included) of all steps together.
        readings: readings of all episodes together, those at the start weights included.
        reading_tokens: tokens of one reading.
        reading_batches: batches of one reading.
        gradient_tokens: tokens forward and backward without a step.
        batch_tokens: tokens of the largest batch of them that goes forward and backward at once.
        weight_copies: what is held beside the weights, in copies of the trainable ones.
    """

    episodes: int = 0
    steps: int = 0
    step_tokens: float = 0.0
    readings: int = 0
    reading_tokens: float = 0.0
    reading_batches: int = 0
    gradient_tokens: float = 0.0
    batch_tokens: float = 0.0
    weight_copies: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """How much memory a model takes.

    Attributes:
        weights: MiB of all of them.
        trainable: MiB of those that move.
        optimizer_copies: state of the optimizer, in copies of the trainable weights.
        token: MiB of a token of a batch that goes forward and backward.
    """

    weights: float
    trainable: float
    optimizer_copies: float
    token: float


def memory_of(work: Work, sizes: Sizes) -> float:
    """MiB at the peak, on the device and in main memory together, beside what starting up takes.

    Methods that take steps hold a gradient, the optimizer's state and the pre-unlearning weights.

    Example:
        >>> memory_of(Work(episodes=1, batch_tokens=1000), Sizes(100.0, 100.0, 2.0, 0.05))
        550.0
    """
    copies = work.weight_copies + (2 + sizes.optimizer_copies if work.episodes else 0)
    used = work.episodes or work.gradient_tokens
    return (sizes.weights if used else 0.0) + copies * sizes.trainable + work.batch_tokens * sizes.token


def straight_line(sizes: list[float], seconds: list[float]) -> tuple[float, float]:
    """Fixed and proportional cost that explain measured times best, neither below 0.

    Args:
        sizes: what was done, e.g. tokens.
        seconds: how long it took.

    Returns:
        Seconds of nothing, and seconds of one.

    Example:
        >>> tuple(round(x, 3) for x in straight_line([100.0, 200.0], [0.3, 0.5]))
        (0.1, 0.002)
        >>> straight_line([100.0], [0.5])
        (0.0, 0.005)
    """
    if len(set(sizes)) < 2:
        return 0.0, float(np.sum(seconds) / np.sum(sizes))
    slope, fixed = np.polyfit(sizes, seconds, 1)
    if fixed < 0:
        return 0.0, float(np.sum(seconds) / np.sum(sizes))
    if slope < 0:
        return float(np.mean(seconds)), 0.0
    return float(fixed), float(slope)


def seconds_of(work: Work, speeds: Speeds) -> float:
    """How long something takes, without starting up.

    Example:
        >>> speeds = Speeds(step=0.01, step_token=1e-4, reading_batch=0.0, reading_token=5e-5, copy=0.0)
        >>> round(seconds_of(Work(steps=100, step_tokens=1e5, readings=2, reading_tokens=1e4), speeds), 2)
        12.0
    """
    reading = work.reading_batches * speeds.reading_batch + work.reading_tokens * speeds.reading_token
    return (
        work.steps * speeds.step
        + (work.step_tokens + work.gradient_tokens) * speeds.step_token
        + work.readings * reading
        + work.episodes * speeds.copy
    )


def duration(seconds: float) -> str:
    """A time as one would say it.

    Example:
        >>> duration(4.2), duration(200), duration(9000), duration(300_000)
        ('4.2 s', '3 min', '2.5 h', '3.5 days')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
