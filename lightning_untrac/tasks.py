"""What a model is for: to go on with a text, or to say which class a text (or each token of it) belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from lightning_untrac.functional import uniform_guess_loss

TaskName = Literal["language", "sequence_classification", "token_classification"]

TASKS: Final[tuple[TaskName, ...]] = get_args(TaskName)


@dataclass(frozen=True)
class Task:
    """What a model's targets are.

    A classifier is a model with its classes as the vocabulary: one target an example, or one a labelled token. Losses,
    objectives and measures then are what they are for a language model.

    Attributes:
        name: as in ``model.task``.
        labels: names of a classifier's classes, in the order of its logits; none for a language model.
    """

    name: TaskName = "language"
    labels: tuple[str, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether targets are classes."""
        return self.name != "language"

    @property
    def by_token(self) -> bool:
        """Whether tokens have classes, and not whole texts."""
        return self.name == "token_classification"


LANGUAGE: Final = Task()
"""What a model is for unless it says otherwise."""


def guess_loss(module: Any) -> float | None:
    """Loss of a uniform guess, nats per target: a language model above it knows less than nothing.

    Args:
        module: a phase, or what wraps one.

    Returns:
        None of a classifier, whose few sure mistakes can weigh more than all its right answers, and where it isn't
        known what a target can be.

    Example:
        >>> from types import SimpleNamespace
        >>> round(guess_loss(SimpleNamespace(num_outcomes=384, task=LANGUAGE)), 3)
        5.951
        >>> guess_loss(SimpleNamespace(num_outcomes=2, task=Task("sequence_classification", ("ham", "spam"))))
    """
    outcomes = getattr(module, "num_outcomes", None)
    return None if outcomes is None or module.task.classifies else uniform_guess_loss(outcomes)
