"""What the reference asks of the module that unlearns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch
    from lightning_untrac.objectives.objective import Objective
    from lightning_untrac.objectives.terms import Stream
    from lightning_untrac.outputs import Need, Outputs


class Unlearner(Protocol):
    """:class:`~lightning_untrac.modules.unlearning.Unlearning` is one."""

    model: Any
    lora: dict[str, Any] | None
    reference: Any
    untrained: Any
    unlearning_objective: Objective
    keeps_start: bool

    @property
    def trainer(self) -> Any:
        """The Trainer."""

    @property
    def streams(self) -> frozenset[Stream]:
        """What each step has to bring."""

    def needs_of(self, stream: str) -> frozenset[Need]:
        """What is asked for of a stream's outputs beside logits and targets."""

    def trainable_parameters(self) -> Mapping[str, nn.Parameter]:
        """What may move, by name."""

    def without_dropout(self) -> AbstractContextManager[None]:
        """Evaluation mode inside."""

    def outputs_of(self, batch: LanguageBatch, hidden_states: bool = False) -> Outputs:
        """One forward pass."""

    def forward(self, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits and targets."""
