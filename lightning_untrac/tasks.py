"""What a model is for: to go on with a text, or to say which class a text (or each token of it) belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

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
