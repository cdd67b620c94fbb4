"""What a term of an objective may ask of the module that unlearns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class Unlearns(Protocol):
    """What a term may ask of the module outside of steps, such as in :meth:`ObjectiveTerm.prepare` once an episode."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""

    @property
    def num_layers(self) -> int:
        """Layers of the model, or of its decoder."""

    @property
    def episode_seed(self) -> int:
        """Seed of the current episode."""

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean loss per target token of a batch, nats."""
        ...

    def num_targets(self, batch: LanguageBatch) -> Tensor:
        """Target tokens of a batch."""
        ...

    def without_dropout(self) -> AbstractContextManager[None]:
        """Evaluation mode inside."""
        ...

    def sum_over_ranks(self, values: Tensor) -> Tensor:
        """The sum of each rank's values."""
        ...

    def sum_over_shards(self, values: Tensor) -> Tensor:
        """What was summed over this rank's part of the weights as the sum over all of them."""
        ...

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that may move, tied ones once, by their name in the model."""
        ...

    def own_parts(self) -> dict[str, Tensor]:
        """This rank's part of each of them, without a graph; all of it where weights are not sharded."""
        ...

    def loss_gradient(self, batch: LanguageBatch) -> dict[str, Tensor]:
        """Gradient of the mean loss per token by those parts, without dropout."""
        ...

    def retained_examples(self, count: int) -> Iterator[LanguageBatch]:
        """Examples that the current episode is to keep, one a batch, on the module's device."""
        ...
