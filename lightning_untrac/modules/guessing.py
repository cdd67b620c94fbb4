"""What a model's loss would be if it knew nothing."""

from __future__ import annotations

from typing import Any

from lightning_untrac.functional import uniform_guess_loss


def guess_loss(module: Any) -> float | None:
    """Loss of a uniform guess, nats per target: a language model above it knows less than nothing.

    Args:
        module: a phase, or what wraps one.

    Returns:
        None of a classifier, whose few sure mistakes can weigh more than all its right answers, and where it isn't
        known what a target can be.

    Example:
        >>> from types import SimpleNamespace
        >>> from lightning_untrac.tasks import LANGUAGE, Task
        >>> round(guess_loss(SimpleNamespace(num_outcomes=384, task=LANGUAGE)), 3)
        5.951
        >>> guess_loss(SimpleNamespace(num_outcomes=2, task=Task("sequence_classification", ("ham", "spam"))))
    """
    outcomes = getattr(module, "num_outcomes", None)
    return None if outcomes is None or module.task.classifies else uniform_guess_loss(outcomes)
