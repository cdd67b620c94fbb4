"""What a measure against retrained models is: one number a sequence of a forget set, and what is said of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import numpy as np

from lightning_untrac.functional.example_means import weighted_mean
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.registry import Registry
from lightning_untrac.results.measures import MeasureText, describe_measure

AGAINST: Registry[AgainstRetrained] = Registry("measure against retrained models", "lightning_untrac.metrics.against")
"""All of them by name; ``untrac judge`` takes those that it can."""

Role = Literal["original", "unlearned", "seeds", "retrained"]
Needed = Literal["retrained", "unseen", "neighbourhood", "kept_models"]
"""What a measure may ask for: a model beside that never saw the set, unseen twins, neighbourhood scores, and models
that the original's training has kept."""

ROLES: Final[tuple[Role, ...]] = ("original", "unlearned", "seeds", "retrained")
"""What a model is: the one before unlearning, an unlearned one, several seeds of one unlearning, a retrained one."""


@dataclass(frozen=True)
class Sequences:
    """The sequences of a forget set as a model reads them, and as the models beside it do; E sequences.

    Attributes:
        role: what the model is.
        log_probs: ``[K, E]`` sums of log-probabilities under the model, nats; one row unless it is several seeds.
        tokens: ``[E]`` target tokens.
        known: ``[K, E]`` share of the target tokens that are a first choice.
        retrained_log_probs: ``[R, E]`` under models that never saw them; of a retrained model the others, maybe none.
        retrained_known: ``[R, E]`` likewise.
        original_log_probs: ``[E]`` under the model before unlearning.
        original_known: ``[E]`` likewise.
        unseen_losses: ``[U]`` mean losses per token of unseen twins under the model; none of several seeds.
        parts: which unseen twins belong to which sequences: pairs of indices ``[n]`` of sequences and ``[u]`` of twins.
        neighbourhood: ``[E]`` neighbourhood scores, where they were measured.
        unseen_neighbourhood: ``[U]`` likewise.
        kept_gradient_norms: ``[T, E]`` norms of gradients under models that the original's training has kept, if any.
        scores: by the name of another measure its values, ``[E]``, NaN where it says nothing; of one model.
        unseen_scores: ``[U]`` likewise.
    """

    role: Role
    log_probs: Floats
    tokens: Floats
    known: Floats
    retrained_log_probs: Floats
    retrained_known: Floats
    original_log_probs: Floats
    original_known: Floats
    unseen_losses: Floats
    parts: Sequence[tuple[Any, Any]] = ()
    neighbourhood: Floats | None = None
    unseen_neighbourhood: Floats | None = None
    kept_gradient_norms: Floats | None = None
    scores: Mapping[str, Floats] = field(default_factory=dict)
    unseen_scores: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def per_token(self) -> Floats:
        """``[K, E]`` mean log-probabilities per target token."""
        return self.log_probs / self.tokens

    @property
    def losses(self) -> Floats:
        """``[E]`` mean losses per target token, of one model."""
        return -self.per_token[0]


class AgainstRetrained(ABC):
    """One number a sequence. A new measure is one new file in ``metrics/against/``.

    Attributes:
        name: in the tables.
        title: its name for people.
        unit: of a value.
        direction: which values say that the model knows a sequence better: ``lower``, ``higher``, or ``none``.
        ideal: the value that perfect unlearning would give, in words.
        cannot_tell: what a good value does not show.
        source: where it comes from.
        roles: of which models it says something.
        needs: what has to be there beside the model.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[str] = "as another retrained model"
    cannot_tell: ClassVar[str] = ""
    source: ClassVar[str] = ""
    roles: ClassVar[tuple[Role, ...]] = ROLES
    needs: ClassVar[frozenset[Needed]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new measure known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        AGAINST.add(cls)
        if isinstance(name := vars(cls).get("name"), str):
            describe_measure(name, MeasureText.of(cls, cls.title))

    def suits(self, seen: Sequences) -> bool:
        """Whether there is what it needs."""
        there: dict[Needed, bool] = {
            "retrained": len(seen.retrained_log_probs) > 0,
            "unseen": len(seen.unseen_losses) > 0,
            "neighbourhood": seen.neighbourhood is not None,
            "kept_models": seen.kept_gradient_norms is not None,
        }
        return seen.role in self.roles and all(there[need] for need in self.needs)

    @abstractmethod
    def __call__(self, seen: Sequences) -> Floats:
        """Measure each sequence.

        Args:
            seen: what it needs is there.

        Returns:
            ``[E]``; NaN where nothing can be said.
        """

    def statistics(self, values: Floats, seen: Sequences) -> list[Statistic]:
        """What is said of all sequences: the mean, every one alike, with its interval, and the largest.

        Args:
            values: what :meth:`__call__` has said.
            seen: of what.
        """
        values = values[np.isfinite(values)]
        mean = weighted_mean(values, np.ones(len(values)))
        found = [statistic("mean", mean.value, mean.low, mean.high, self.unit)]
        if len(values):
            found.append(statistic("largest", float(values.max()), unit=self.unit))
        return found


def statistic(
    name: str, value: float, low: float = float("nan"), high: float = float("nan"), unit: str = ""
) -> Statistic:
    """A statistic; ends that are NaN are none."""
    low_end, high_end = (None if np.isnan(end) else float(end) for end in (low, high))
    return Statistic(name, float(value), low_end, high_end, unit)
