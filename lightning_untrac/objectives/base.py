"""What an unlearning objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class MeasuresLoss(Protocol):
    """What an objective may ask of the module: every ``LanguageModule`` has it."""

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean loss per target token, nats."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding matrix."""
        ...

    def forward(self, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits and the targets that they are held against."""
        ...


class Unlearns(MeasuresLoss, Protocol):
    """What an objective may ask of an ``Unlearning`` module."""

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that may move, tied ones once, by their name in the model."""
        ...

    def loss_gradient(self, batch: LanguageBatch) -> dict[str, Tensor]:
        """Gradient of the mean loss per token by the trainable parameters, without dropout."""
        ...

    def forward_with(self, weights: dict[str, Tensor], batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives with other weights in the trainable parameters' place, without gradient or dropout."""
        ...

    def retained_examples(self, count: int) -> Iterator[LanguageBatch]:
        """Examples that the current episode is to keep, one a batch, on the module's device."""
        ...


class Objective(ABC):
    """What an unlearning step minimises, chosen by class path in a recipe.

    A subclass defines its value on the data that is unlearned. It may add two more terms: one on data that is to stay
    (:meth:`on_retained`), and one on the weights alone (:meth:`on_weights`); a step minimises their sum.

    Each term on data is a mean per target token, so that micro-batches can be weighted by their tokens. With sharded
    weights (FSDP) a term calls the module once: a rank whose share of a batch is empty runs one forward pass for it,
    and ranks that run unequally many wait for each other forever.

    Attributes:
        needs_retain: whether there must be retained data, the corpora but the one that is unlearned. What overrides
            :meth:`on_retained` needs them anyway, and gets a batch of them with each step.
        needs_whole_weights: whether it can't work on sharded weights (FSDP), which is then said before the first step.
        underflows_in_float16: whether small numbers of it are lost in float16, which is then refused.

    Example:
        >>> class ClampedAscent(Objective):
        ...     def __init__(self, cap: float) -> None:
        ...         self.cap = cap
        ...     def __call__(self, module, batch):
        ...         return -module.mean_loss(batch).clamp(max=self.cap)
    """

    needs_retain: ClassVar[bool] = False
    needs_whole_weights: ClassVar[bool] = False
    underflows_in_float16: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        """The objective of one micro-batch, a differentiable scalar."""

    def on_retained(self, module: Unlearns, batch: LanguageBatch) -> Tensor:
        """The term of one micro-batch of retained data: a differentiable scalar, its mean per target token."""
        raise NotImplementedError(f"{type(self).__name__} has no term on retained data")

    def on_weights(self, module: Unlearns) -> Tensor | None:
        """The term on the weights alone, a differentiable scalar, once a step; None for none."""
        return None

    def prepare(self, module: Unlearns) -> None:  # noqa: B027
        """Called before the first step of every episode, on every rank, with the pre-unlearning weights in place."""

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`prepare` has found, for checkpoints: a run that is resumed inside an episode never calls it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take :meth:`state_dict` back; tensors are on the CPU."""


class PlainObjective(Objective):
    """Any function of a module and a batch.

    Args:
        function: gives a mean per target token.
    """

    def __init__(self, function: Callable[[Any, LanguageBatch], Tensor]) -> None:
        self.function = function

    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        """See the base class."""
        return self.function(module, batch)


def retains_each_step(objective: Objective) -> bool:
    """Whether steps need retained data: whether the objective has a term on it."""
    return type(objective).on_retained is not Objective.on_retained
