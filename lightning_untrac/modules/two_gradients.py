"""Two gradients of an objective apart, over micro-batches and ranks, for what rectifies one by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch
    from lightning_untrac.objectives.rectify.base import Rectifier


class TwoGradients:
    """The first part's gradient is summed here; the others' goes the strategy's own way, into ``Parameter.grad``.

    The first one is averaged over ranks before the step, or, where weights are sharded, by its own backward pass; there
    the others' is summed here too, because a backward pass adds to what stands in ``Parameter.grad``. Without others
    the first one goes the strategy's own way.

    Args:
        module: an ``Unlearning``.
        rectifier: makes one gradient of two; None for none.
    """

    def __init__(self, module: Any, rectifier: Rectifier | None) -> None:
        self.module, self.rectifier = module, rectifier
        self.held: list[Tensor] = []
        self._batches: list[tuple[LanguageBatch, int]] = []
        self._sums: dict[str, Tensor] = {}
        self._rest: dict[str, Tensor] = {}
        self._ends_step = False

    def clear(self) -> None:
        """Forget what an episode that ended between two micro-batches has left."""
        self.held, self._sums, self._rest, self._batches = [], {}, {}, []

    def hold(self, values: list[Tensor], batch: LanguageBatch, batch_idx: int) -> None:
        """Keep a micro-batch's values until its backward pass, the forget term's first.

        Args:
            values: of the parts of the objective, as they count in the step.
            batch: the micro-batch.
            batch_idx: its number.
        """
        trainer = self.module.trainer
        self.held = values
        self._batches.append((batch, batch_idx))
        self._ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch

    def backward(self) -> None:
        """The backward pass of what is held; after a step's last one the gradients are those of the step."""
        (forget, *others), self.held = self.held, []
        parts = self.module.parts
        share = 1 / self.module.trainer.accumulate_grad_batches  # as Lightning divides the loss
        if others:
            self._add(self._sums, parts.gradient(forget * share))
            forget = sum(others[1:], others[0])
        parts.backward(forget * share)
        if others and parts.sharded:
            self._add(self._rest, parts.take())
        if self._ends_step:
            batches, self._batches = self._batches, []
            self._rectify(batches)

    @staticmethod
    def _add(sums: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            sums[name] = sums[name] + gradient if name in sums else gradient

    def _reduced(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.module.parts.sharded:  # whose backward pass has averaged them
            return sums
        reduce = self.module.trainer.strategy.reduce
        return {name: torch.as_tensor(reduce(gradient, reduce_op="mean")) for name, gradient in sums.items()}

    @torch.no_grad()
    def _rectify(self, batches: list[tuple[LanguageBatch, int]]) -> None:
        assert self.rectifier is not None
        parts = self.module.parts
        sums, self._sums, rest, self._rest = self._sums, {}, self._rest, {}
        found = rest or parts.take()
        forget, retain = self._reduced(sums), found
        if not sums:  # there are no others
            forget, retain = found, {name: torch.zeros_like(gradient) for name, gradient in found.items()}
        self.rectifier.sum_over_shards = parts.total
        if (way := self.rectifier.displacement(forget)) is not None:
            forget = self._displaced(way, batches)
        parts.put(self.rectifier(forget, retain))

    def _displaced(self, way: dict[str, Tensor], batches: list[tuple[LanguageBatch, int]]) -> dict[str, Tensor]:
        """The forget term's gradient of the same step at weights some way off."""
        parts = self.module.parts
        kept = {name: part.clone() for name, part in parts.now().items()}
        sums: dict[str, Tensor] = {}
        try:
            for name, part in parts.now().items():
                part.add_(way[name])
            for batch, batch_idx in batches:
                with torch.enable_grad():
                    value = self.module.forget_share(batch, batch_idx)
                    self._add(sums, parts.gradient(value / self.module.trainer.accumulate_grad_batches))
        finally:
            for name, part in parts.now().items():
                part.copy_(kept[name])  # and not minus the way, which would leave the rounding of the sum
        return self._reduced(sums)
