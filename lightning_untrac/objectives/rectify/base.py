"""What a rectifier is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor


class Rectifier(ABC):
    """Changes the forget term's gradient by that of the retain terms, once a step, before the optimizer sees it.

    Both gradients are those of the whole effective batch, over micro-batches and ranks, each with its terms' weights.

    Where weights are sharded each rank hands over its part of both and gets that part of the result;
    :attr:`sum_over_shards` makes sums over all elements of sums over that part.

    Attributes:
        needs_retain: whether it makes no sense without a retain term.
        needs_whole_weights: whether it can't work on sharded weights, which is then said before the first step.
        sum_over_shards: of sums over this rank's part of the gradients makes the sums over all of them, float64.
    """

    needs_retain: ClassVar[bool] = True
    needs_whole_weights: ClassVar[bool] = True
    sum_over_shards: Callable[[Tensor], Tensor] = staticmethod(lambda sums: sums)

    def prepare(self) -> None:  # noqa: B027
        """Called before the first step of every episode."""

    def displacement(self, forget: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """How far from the weights the forget term's gradient is taken once more; None for not at all.

        Args:
            forget: parameter name to the forget term's gradient at the weights.
        """
        return None

    @abstractmethod
    def __call__(self, forget: Mapping[str, Tensor], retain: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient of the step.

        Args:
            forget: parameter name to the forget term's gradient.
            retain: alike, of the retain terms together.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it keeps from step to step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take :meth:`state_dict` back; tensors may be on the CPU."""
