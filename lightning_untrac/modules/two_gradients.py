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
        self._ends_step = False

    def clear(self) -> None:
        """Forget what an episode that ended between two micro-batches has left."""
        self.held, self._sums = [], {}

    def hold(self, values: list[Tensor], batch_idx: int) -> None:
        """Keep a micro-batch's values until its backward pass, the forget term's first.

        Args:
            values: of the parts of the objective, as they count in the step.
            batch_idx: of the micro-batch.
        """
        trainer = self.module.trainer
        self.held = values
        self._ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch

    def backward(self) -> None:
        """The backward pass of what is held; after a step's last one the gradients are those of the step."""
        (forget, *others), self.held = self.held, []
        parameters = self.module.trainable_parameters()
        share = 1 / self.module.trainer.accumulate_grad_batches  # as Lightning divides the loss
        gradients = torch.autograd.grad(forget * share, list(parameters.values()), allow_unused=True)
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            # Of every parameter, also those that the term does not reach here: ranks have to reduce alike.
            found = torch.zeros_like(parameter) if gradient is None else gradient
            self._sums[name] = self._sums[name] + found if name in self._sums else found
        (sum(others[1:], others[0]) * share).backward()
        if self._ends_step:
            self._rectify(parameters)

    @torch.no_grad()
    def _rectify(self, parameters: dict[str, torch.nn.Parameter]) -> None:
        assert self.rectifier is not None
        sums, self._sums = self._sums, {}
        reduce = self.module.trainer.strategy.reduce
        forget = {name: torch.as_tensor(reduce(gradient, reduce_op="mean")) for name, gradient in sums.items()}
        retain = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in parameters.items()}
        for name, gradient in self.rectifier(forget, retain).items():
            parameters[name].grad = gradient
