"""What an unlearning objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

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


class Objective(ABC):
    """What an unlearning step minimises, chosen by class path in a recipe.

    Its value is a mean per target token, so that micro-batches can be weighted by their tokens. With sharded weights
    (FSDP) it calls the module once: a rank whose share of a batch is empty runs one forward pass, and ranks that run
    unequally many wait for each other forever.

    Example:
        >>> class ClampedAscent(Objective):
        ...     def __init__(self, cap: float) -> None:
        ...         self.cap = cap
        ...     def __call__(self, module, batch):
        ...         return -module.mean_loss(batch).clamp(max=self.cap)
    """

    @abstractmethod
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        """The objective of one micro-batch, a differentiable scalar."""
