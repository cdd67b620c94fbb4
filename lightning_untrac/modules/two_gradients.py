"""Two gradients of an objective apart, over micro-batches and ranks, for what rectifies one by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_untrac.objectives.rectify.base import Rectifier


class TwoGradients:
    """The first part's gradient is summed here; the others' goes the strategy's own way, into ``Parameter.grad``.

    ``torch.autograd.grad`` sets off no exchange of gradients, so the first one is averaged over ranks before the step.

    Args:
        module: an ``Unlearning``.
        rectifier: makes one gradient of two; None for none.
    """

    def __init__(self, module: Any, rectifier: Rectifier | None) -> None:
        self.module, self.rectifier = module, rectifier
        self.held: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}

    def hold(self, values: list[Tensor]) -> None:
        """Keep a micro-batch's values until its backward pass, the forget term's first."""
        self.held = values

    def backward(self) -> None:
        """The backward pass of what is held."""
        (forget, *others), self.held = self.held, []
        parameters = self.module.trainable_parameters()
        share = 1 / self.module.trainer.accumulate_grad_batches  # as Lightning divides the loss
        gradients = torch.autograd.grad(forget * share, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                self._sums[name] = self._sums[name] + gradient if name in self._sums else gradient
        (sum(others[1:], others[0]) * share).backward()

    @torch.no_grad()
    def rectify(self) -> None:
        """Put the step's gradient into the parameters."""
        if self.rectifier is None or not self._sums:
            return
        sums, self._sums = self._sums, {}
        reduce = self.module.trainer.strategy.reduce
        forget = {name: torch.as_tensor(reduce(gradient, reduce_op="mean")) for name, gradient in sums.items()}
        parameters = {name: self.module.trainable_parameters()[name] for name in forget}
        retain = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in parameters.items()}
        for name, gradient in self.rectifier(forget, retain).items():
            parameters[name].grad = gradient
