"""What a term of an objective is, and what it sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn

from torch import Tensor, nn

from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.unlearns import Unlearns
from lightning_untrac.outputs import Need, Outputs, Term, Unit
from lightning_untrac.registry import Registry

if TYPE_CHECKING:
    pass

FORGET_TERMS: Final[Registry[ForgetTerm]] = Registry("objective", "lightning_untrac.objectives.forget")
RETAIN_TERMS: Final[Registry[RetainTerm]] = Registry("retain", "lightning_untrac.objectives.retain")
"""All terms that have a short name, by it."""

Stream = Literal["forget", "retain", "alternative", "retain_alternative"]
"""Examples of a step: those that must go, those that must stay, and other answers to the prompts of either."""


@dataclass
class Seen:
    """What an objective sees in a step: the outputs of one forward pass a stream, and no model.

    Attributes:
        forget: of the examples that must go; of a phase that only trains, its batch.
        retain: of the examples that must stay, where a term asks for them.
        alternative: of other answers to the forget set's prompts, where a term asks for them.
        retain_alternative: of other answers to the prompts of ``retain``, where a term asks for them.
        weights: the trainable parameters by name (this rank's part), for anchors.
        start: their values before unlearning (this rank's part), for anchors.
    """

    forget: Outputs
    retain: Outputs | None = None
    alternative: Outputs | None = None
    retain_alternative: Outputs | None = None
    weights: Mapping[str, Tensor] | None = None
    start: Mapping[str, Tensor] | None = None

    @property
    def vocabulary_size(self) -> int:
        """Rows of the model's embedding matrix."""
        return self.forget.logits.shape[-1]

    def of(self, stream: Stream) -> Outputs:
        """The outputs of a stream.

        Raises:
            ValueError: if the step has none.
        """
        found = getattr(self, stream)
        if found is None:
            raise ValueError(f"the step has no {stream} examples; name the stream in the term's `streams`")
        return found

    def __getitem__(self, key: str) -> NoReturn:
        raise TypeError(
            f"objective(seen) gets what the model gave and no batch to run it on, but seen[{key!r}] was asked for; "
            "use seen.forget.mean_loss(), seen.forget.logits and seen.forget.targets, or seen.forget.batch for what "
            "went in"
        )


class ObjectiveTerm(ABC):
    """One part of an objective: a thin shell over a pure function.

    A term sees outputs and never a model, so it can't run one: the module makes one forward pass a stream, whatever the
    terms are. A mean over tokens or sequences comes out the same however the effective batch is cut.

    Args:
        weight: what its mean is multiplied by.

    Attributes:
        streams: what it reads; the first one's tokens or sequences are what it is a mean over.
        unit: what it is a mean over.
        needs: what it asks for beside logits and targets.
        needs_retained_examples: whether :meth:`prepare` reads examples that are to stay.
        underflows_in_float16: whether small numbers of it are lost in float16, which is then refused.
        reaches_all: whether its gradient reaches every parameter.
        pairs_examples: whether it holds examples of a step against each other, over all ranks. Accumulation would tear
            such pairs apart, and is refused.
        stratifies: whether each forget example of a step needs a retained one of its own class and one of another,
            which the DataModule then sees to.
        has_layers: whether it trains layers of its own, see :meth:`own_layers`.
        views: forward passes over its streams: one, and others beside it with dropout on, whose hidden states come as
            ``Outputs.views``.
        alternatives_from: where other answers come from for datasets that name none; None for nowhere.

    Raises:
        ValueError: for a weight that is below 0 or not finite.
    """

    streams: ClassVar[tuple[Stream, ...]] = ("forget",)
    unit: ClassVar[Unit] = "token"
    needs: ClassVar[frozenset[Need]] = frozenset()
    needs_retained_examples: ClassVar[bool] = False
    underflows_in_float16: ClassVar[bool] = False
    reaches_all: ClassVar[bool] = True
    pairs_examples: ClassVar[bool] = False
    stratifies: bool = False
    has_layers: bool = False
    views: int = 1
    alternatives_from: ClassVar[str | None] = None

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = non_negative(type(self).__name__, "weight", weight)

    @abstractmethod
    def __call__(self, seen: Seen) -> Term:
        """Sum and count over one micro-batch; every stream that it reads has targets."""

    def nothing(self, seen: Seen) -> Term:
        """A value of 0 for a share of a step without targets; its gradient goes the way of the other ranks'."""
        totals = [seen.of(stream).nothing().total for stream in self.streams]
        return Term(sum(totals[1:], totals[0]), 0)

    def problems(self, module: Unlearns) -> list[str]:
        """Why it does not suit a model, whose weights are not loaded yet.

        Args:
            module: that is going to unlearn.
        """
        return []

    def own_layers(self, width: int) -> nn.Module | None:
        """Layers that are trained along with the model, and are no part of it when it is saved; asked for once a model.

        The module makes them known to the optimizer, to checkpoints and to DDP, and :meth:`prepare` gives them their
        first weights again, because each episode is to begin alike.

        Args:
            width: of the model's hidden states.
        """
        return None

    def prepare(self, module: Unlearns) -> None:  # noqa: B027
        """Called before the first step of every episode, on every rank, with the pre-unlearning weights in place."""

    def after_step(self, module: Unlearns) -> None:  # noqa: B027
        """Called on every rank when a step's gradients are complete."""

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`prepare` and steps have found: a run that is resumed inside an episode does not prepare again."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take :meth:`state_dict` back; tensors are on the CPU."""


class ForgetTerm(ObjectiveTerm):
    """A term on the forget set; with a ``name`` of its own it can be asked for by that.

    Example:
        >>> class ClampedAscent(ForgetTerm):
        ...     def __init__(self, cap: float, weight: float = 1.0) -> None:
        ...         super().__init__(weight)
        ...         self.cap = cap
        ...     def __call__(self, seen):
        ...         loss = seen.forget.loss
        ...         return Term(-loss.total.clamp(max=self.cap * loss.count), loss.count)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new term known."""
        super().__init_subclass__(**kwargs)
        FORGET_TERMS.add(cls)


class RetainTerm(ObjectiveTerm):
    """A term on the data that must stay."""

    streams: ClassVar[tuple[Stream, ...]] = ("retain",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new term known."""
        super().__init_subclass__(**kwargs)
        RETAIN_TERMS.add(cls)


class Anchor(ObjectiveTerm):
    """A term on the weights alone, once a step; :meth:`__call__` gives its value with a count of 1.

    Where weights are sharded, ``seen.weights`` and ``seen.start`` are this rank's part, and the value is summed over
    ranks afterwards.

    Attributes:
        needs_whole_weights: whether it can't work on sharded weights (FSDP2), which is then said before the first step.
    """

    streams: ClassVar[tuple[Stream, ...]] = ()
    needs_whole_weights: ClassVar[bool] = True
