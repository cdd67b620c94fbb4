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

    ``torch.autograd.grad`` sets off no exchange of gradients, so the first one is averaged over ranks before the step.
    Without others the first one goes the strategy's own way.

    Args:
        module: an ``Unlearning``.
        rectifier: makes one gradient of two; None for none.
    """

    def __init__(self, module: Any, rectifier: Rectifier | None) -> None:
        self.module, self.rectifier = module, rectifier
        self.held: list[Tensor] = []
        self._batches: list[tuple[LanguageBatch, int]] = []
        self._sums: dict[str, Tensor] = {}
        self._ends_step = False

    def clear(self) -> None:
        """Forget what an episode that ended between two micro-batches has left."""
        self.held, self._sums, self._batches = [], {}, []

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
        parameters = self.module.trainable_parameters()
        share = 1 / self.module.trainer.accumulate_grad_batches  # as Lightning divides the loss
        if others:
            self._add(self._sums, forget * share, parameters)
            forget = sum(others[1:], others[0])
        (forget * share).backward()
        if self._ends_step:
            batches, self._batches = self._batches, []
            self._rectify(parameters, batches)

    @staticmethod
    def _add(sums: dict[str, Tensor], value: Tensor, parameters: dict[str, torch.nn.Parameter]) -> None:
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            # Of every parameter, also those that the term does not reach here: ranks have to reduce alike.
            found = torch.zeros_like(parameter) if gradient is None else gradient
            sums[name] = sums[name] + found if name in sums else found

    def _reduced(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        reduce = self.module.trainer.strategy.reduce
        return {name: torch.as_tensor(reduce(gradient, reduce_op="mean")) for name, gradient in sums.items()}

    @torch.no_grad()
    def _rectify(self, parameters: dict[str, torch.nn.Parameter], batches: list[tuple[LanguageBatch, int]]) -> None:
        assert self.rectifier is not None
        sums, self._sums = self._sums, {}
        found = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in parameters.items()}
        forget, retain = self._reduced(sums), found
        if not sums:  # there are no others
            forget, retain = found, {name: torch.zeros_like(gradient) for name, gradient in found.items()}
        if (way := self.rectifier.displacement(forget)) is not None:
            forget = self._displaced(way, parameters, batches)
        for name, gradient in self.rectifier(forget, retain).items():
            parameters[name].grad = gradient

    def _displaced(
        self,
        way: dict[str, Tensor],
        parameters: dict[str, torch.nn.Parameter],
        batches: list[tuple[LanguageBatch, int]],
    ) -> dict[str, Tensor]:
        """The forget term's gradient of the same step at weights some way off."""
        kept = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        sums: dict[str, Tensor] = {}
        try:
            for name, parameter in parameters.items():
                parameter.add_(way[name])
            for batch, batch_idx in batches:
                with torch.enable_grad():
                    value = self.module.forget_share(batch, batch_idx)
                    self._add(sums, value / self.module.trainer.accumulate_grad_batches, parameters)
        finally:
            for name, parameter in parameters.items():
                parameter.copy_(kept[name])  # and not minus the way, which would leave the rounding of the sum
        return self._reduced(sums)
