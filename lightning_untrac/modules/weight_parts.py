"""This rank's part of the weights that may move, and gradients by it, whether or not they are sharded (FSDP2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lightning_untrac.objectives.objective import Part
from lightning_untrac.objectives.terms import Term
from lightning_untrac.sharding import as_sharded, is_sharded, local_shard, reshard


class WeightParts:
    """What this rank holds of the parameters that may move, and the gradients of single values by it.

    FSDP2 hands out gradients in ``Parameter.grad`` alone, each rank its part of the mean over ranks; elsewhere
    ``torch.autograd.grad`` gives this rank's own, and sets off no exchange.

    Args:
        module: an ``Unlearning``.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self._leaves: dict[str, Tensor] = {}

    @cached_property
    def sharded(self) -> bool:
        """Whether each rank holds a part; asked once the model is in place."""
        return is_sharded(self.module.model)

    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        if self.sharded:  # between a forward and a backward pass the outermost group stands there whole
            reshard(self.module.model)
        found: dict[str, torch.nn.Parameter] = self.module.trainable_parameters()
        return found

    def now(self) -> dict[str, Tensor]:
        """The parts by parameter name, sharing the weights' memory, without a graph."""
        return {name: local_shard(p.detach()) for name, p in self._parameters().items()}

    def total(self, sums: Tensor) -> Tensor:
        """Of sums over this rank's part the sums over all; the sums themselves where this rank holds all."""
        if not self.sharded:
            return sums
        found: Tensor = self.module.sum_over_ranks(sums)
        return found

    # -- anchors ---------------------------------------------------------------------------------------------------

    def for_anchors(self) -> Mapping[str, Tensor]:
        """What an anchor is a function of; ask before a forward pass, and call :meth:`backward` on what comes of it.

        Shards are leaves of their own here: a gradient that reached a sharded parameter past FSDP2 would be added while
        FSDP2 reduces its own.
        """
        if not self.sharded:
            found: dict[str, torch.nn.Parameter] = self.module.trainable_parameters()
            return found
        self._leaves = {name: part.requires_grad_() for name, part in self.now().items()}
        return self._leaves

    def summed(self, part: Part) -> Part:
        """A sum over weights with the value of all ranks and the gradient of this one; any other part as it is."""
        if part.stream is not None or not self.sharded:
            return part
        mine = part.term.total
        whole = mine + (self.total(mine.detach()) - mine.detach())
        return part._replace(term=Term(whole, part.term.count))

    def add_anchors(self) -> None:
        """Add the anchors' gradients to those that FSDP2 has left, after a backward pass."""
        leaves, self._leaves = self._leaves, {}
        if not leaves:
            return
        parameters = self._parameters()
        for name, leaf in leaves.items():
            if leaf.grad is None:
                continue
            if (parameter := parameters[name]).grad is None:
                parameter.grad = as_sharded(leaf.grad, parameter)
            else:
                local_shard(parameter.grad).add_(leaf.grad)

    # -- gradients -------------------------------------------------------------------------------------------------

    def backward(self, value: Tensor) -> None:
        """Add a value's gradient to ``Parameter.grad``, the strategy's way."""
        value.backward()
        self.add_anchors()

    def gradient(self, value: Tensor) -> dict[str, Tensor]:
        """A value's gradient alone, of every parameter; where weights are sharded, the mean over ranks.

        Args:
            value: a scalar; where weights are sharded no parameter may have a ``grad`` yet.
        """
        if self.sharded:
            value.backward()
            return self.take()
        parameters: dict[str, torch.nn.Parameter] = self.module.trainable_parameters()
        found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        # Of every parameter, also those that the value does not depend on here: ranks have to reduce alike.
        return {
            name: torch.zeros_like(parameter) if gradient is None else gradient
            for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
        }

    def take(self) -> dict[str, Tensor]:
        """The parts' gradients out of ``Parameter.grad``, 0 where there is none."""
        found = {}
        for name, parameter in self._parameters().items():
            gradient, parameter.grad = parameter.grad, None
            found[name] = local_shard(torch.zeros_like(parameter) if gradient is None else gradient).detach()
        return found

    def put(self, gradients: Mapping[str, Tensor]) -> None:
        """Let these be the parts' gradients."""
        parameters = self._parameters()
        for name, gradient in gradients.items():
            parameters[name].grad = as_sharded(gradient, parameters[name])
