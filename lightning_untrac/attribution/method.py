"""What every way to score corpora says of itself, and where all of them are found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from lightning.pytorch.cli import OptimizerCallable

from lightning_untrac.attribution.costs import Asked
from lightning_untrac.attribution.describing import describe_class
from lightning_untrac.data import EpisodePlan
from lightning_untrac.functional.costs import Work
from lightning_untrac.modules.unlearning import paper_adam
from lightning_untrac.registry import Registry
from lightning_untrac.verb import Column

METHODS: Final[Registry[Method]] = Registry("method", "lightning_untrac.attribution.methods", "method")
"""All methods by their name in the tables."""


class Method(ABC):
    """A way to score corpora, with episodes (:class:`Attribution`) or without (:class:`Scoring`).

    Attributes:
        method: name in the tables.
        title: its name for people; ``method`` where a subclass gives none.
        summary: one sentence on what it does.
        signed: whether the sign of a single influence says something, see
            :class:`~lightning_untrac.results.methods.MethodText`.
        traced: whether ``untrac trace`` runs it; a method that has a verb of its own says no.
        column: whose column of the table of Trainer flags counts, see ``config/trainer_flags.py``.
        has_episodes: whether it takes optimizer steps, so that options of episodes apply.
        optimizer: makes the optimizer where the user names none.
        paper_batch_size: examples of a step in the published setting (``--setting paper``); None where there is none.
        own_rise: where episodes are read unless the user says how long they are, see ``OwnRise``; None for their end.
        ascends: whether its steps go uphill, so that a collapse has to be watched for.
        reads_examples: whether it can score single examples of the corpora (``--examples``).
        opposite: name of the method that unlearns what this one reads, and answers the same question; or None.
    """

    method: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    signed: ClassVar[bool] = True
    traced: ClassVar[bool] = True
    column: ClassVar[Column] = "trace"
    has_episodes: ClassVar[bool] = False
    optimizer: ClassVar[OptimizerCallable] = staticmethod(paper_adam)
    paper_batch_size: ClassVar[int | None] = None
    own_rise: ClassVar[float | None] = None
    ascends: ClassVar[bool] = False
    reads_examples: ClassVar[bool] = False
    opposite: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new method known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        METHODS.add(cls)
        describe_class(cls)

    @classmethod
    @abstractmethod
    def plan(cls, seeds: Sequence[int], steps: int | None = None, passes: float | None = None) -> EpisodePlan:
        """What is gone through, with the method's own length where none is given.

        Args:
            seeds: of the data order.
            steps: optimizer steps of an episode.
            passes: passes over an episode's data.
        """

    @classmethod
    @abstractmethod
    def option_problems(cls, options: Any, config: Any) -> list[str]:
        """What is wrong with options of ``untrac trace`` for this method.

        Args:
            options: the verb's own.
            config: everything that was asked, with the ``model`` and the ``trainer``.
        """

    @classmethod
    @abstractmethod
    def work(cls, asked: Asked) -> Work | None:
        """What the method would have to do; None where that can't be known.

        Args:
            asked: the data and options of ``untrac plan``.
        """

    @classmethod
    def lacking(cls) -> list[str]:
        """What has to be installed first."""
        return []

    @classmethod
    def ends_by_strength(cls, steps: int | None) -> bool:
        """Whether episodes mostly end before their last step.

        Args:
            steps: optimizer steps that were asked for; None for the method's own length.
        """
        return steps is None and cls.own_rise is not None


def traced_methods() -> list[str]:
    """Names of the methods that ``untrac trace`` runs."""
    return [name for name, method in METHODS.items() if method.traced]
