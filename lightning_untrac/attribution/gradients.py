"""Gradients, squared gradients and losses of whole datasets, summed exactly, with no step taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.passes import DatasetPass
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.functional import example_losses
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.sharding import is_sharded, local_shard, reshard

TOKENS_PER_UNIT = 1024.0
"""Sums of token losses are divided by this constant, a power of two so that it rounds nothing, until the whole number
of tokens is known; it keeps float16 gradients in range."""


@dataclass
class PassResult:
    """What a pass over a dataset has found, the same on every rank (of sharded gradients: its shard).

    Attributes:
        tensors: of a ``gradient`` or of ``squares``: name of each trainable parameter that took part to a tensor of
            its shape, in float32 at least, on the model's device.
        loss: of a ``loss``: nats per target token.
        num_tokens: target tokens.
        num_examples: examples or blocks, in batches with a target.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    loss: float | None = None
    num_tokens: int = 0
    num_examples: int = 0


class DatasetGradients(L.LightningModule):
    """Go through datasets, one an epoch, and hand over what each pass has found; the weights stay as they are.

    The gradient is that of the dataset's mean loss per token: the sum of all token losses' gradients over the number of
    tokens, over all batches and ranks, in evaluation mode. Only trainable parameters have one (``trainable``, LoRA).
    Nothing is kept per example. Gradients of half-precision weights are summed in float32.

    Memory: one gradient on the device (two while it is handed over), beside the weights; what is kept of it is
    ``receive``'s business. Cost: a forward and a backward pass an example, a forward pass where only a loss is asked.

    Args:
        phase: whose model, loss and parameter subset these are; its objective and optimizer are not used.
        receive: called with each pass and what it has found, on every rank. It may change the weights (in place, under
            ``torch.no_grad``) for the passes that follow, and has to put them back after the last.

    Raises:
        ConfigurationError: if no parameter is trainable, or ``squares`` are asked of sharded weights.
        UnlearningError: if a dataset has no target token.
    """

    def __init__(self, phase: LanguageModule, receive: Callable[[DatasetPass, PassResult], Any]) -> None:
        super().__init__()
        # Manual, so that no strategy averages gradients of batches with unequal numbers of tokens.
        self.automatic_optimization = False
        self.phase, self.receive = phase, receive
        self._sums: dict[str, Tensor] = {}
        self._loss_sum = self._num_tokens = self._num_examples = torch.zeros(())

    @property
    def tokenizer(self) -> Any:
        """The phase's tokenizer."""
        return self.phase.tokenizer

    @property
    def is_sharded(self) -> bool:
        """Whether each rank holds a part of every parameter, so that products have to be summed over ranks."""
        return is_sharded(self.phase)

    def trainable_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that have a gradient, tied ones once, by their name in the model."""
        return self.phase.trainable_parameters()

    # -- Lightning's hooks -----------------------------------------------------------------------------------------

    @override
    def configure_model(self) -> None:
        # Lightning gives the mesh of a sharded strategy to the outermost module alone.
        self.phase._device_mesh = self._device_mesh
        self.phase.configure_model()

    @override
    def configure_optimizers(self) -> None:
        return None

    @override
    def setup(self, stage: str) -> None:
        self.phase.setup(stage)

    @override
    def on_fit_start(self) -> None:
        if not self.trainable_parameters():
            raise ConfigurationError(["model: no parameter is trainable; check `trainable` and `lora`"])

    @override
    def on_train_epoch_start(self) -> None:
        assert self.phase.model is not None
        self.phase.model.eval()
        self._forget()
        if self._asked.quantity != "gradient" and self.is_sharded:
            raise ConfigurationError(
                [
                    f"trainer.strategy: the {self._asked.quantity} of {self._asked.dataset} can't be had of sharded "
                    "weights; use --trainer.strategy auto or ddp"
                ]
            )

    @override
    def training_step(self, batch: LanguageBatch, batch_idx: int) -> None:
        num_tokens = self.phase.num_targets(batch)
        self._num_tokens += num_tokens
        self._num_examples += len(batch["labels"]) if batch.get("has_targets", True) else 0
        if self._asked.quantity == "loss":
            with torch.no_grad():
                self._loss_sum += example_losses(*self.phase(batch))[0].sum()
            return
        loss = self.phase.mean_loss(batch)
        squares = self._asked.quantity == "squares"
        # Plain, and not `manual_backward`: DDP then averages nothing, and each rank's sum is added to the others' once.
        (loss if squares else loss * (num_tokens / TOKENS_PER_UNIT)).backward()
        for name, parameter in self.trainable_parameters().items():
            if parameter.grad is not None and (squares or parameter.grad.dtype.itemsize < 4):
                self._add(name, parameter, squares)

    @override
    def on_train_epoch_end(self) -> None:
        assert self.phase.model is not None
        reshard(self.phase.model)
        for name, parameter in self.trainable_parameters().items():
            if parameter.grad is not None:
                self._sums[name], parameter.grad = local_shard(parameter.grad), None
            elif name not in self._sums and self._asked.quantity != "loss" and self.trainer.world_size > 1:
                # A part that this rank's tokens did not reach (an expert, say); all ranks have to add up the same.
                self._sums[name] = torch.zeros_like(local_shard(parameter))
        num_tokens = int(self._over_ranks(self._num_tokens))
        num_examples = int(self._over_ranks(self._num_examples))
        if num_tokens == 0:
            raise UnlearningError(
                f"{self._asked.dataset}: none of the {self._asked.max_examples or 'examples'} read has a target token; "
                "expected at least one; raise max_examples"
            )
        result = PassResult(num_tokens=num_tokens, num_examples=num_examples)
        if self._asked.quantity == "loss":
            result.loss = float(self._over_ranks(self._loss_sum)) / num_tokens
        else:
            divisor = num_examples if self._asked.quantity == "squares" else num_tokens / TOKENS_PER_UNIT
            result.tensors = {name: self._whole(total).div_(divisor) for name, total in self._sums.items()}
        self._sums = {}
        with torch.no_grad():
            self.receive(self._asked, result)

    # -- sums ------------------------------------------------------------------------------------------------------

    @property
    def _asked(self) -> DatasetPass:
        return self.trainer.datamodule.current_pass  # type: ignore[attr-defined]

    def _forget(self) -> None:
        self._sums = {}
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._num_tokens = torch.zeros((), dtype=torch.int64, device=self.device)
        self._num_examples = torch.zeros((), dtype=torch.int64, device=self.device)
        for parameter in self.trainable_parameters().values():
            parameter.grad = None

    def _add(self, name: str, parameter: torch.nn.Parameter, squares: bool) -> None:
        gradient = local_shard(parameter.grad)  # type: ignore[arg-type]
        gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        addend = gradient.square() if squares else gradient
        self._sums[name] = self._sums[name].add_(addend) if name in self._sums else addend
        parameter.grad = None

    def _over_ranks(self, value: Tensor) -> Tensor:
        return torch.as_tensor(self.trainer.strategy.reduce(value, reduce_op="sum"))

    def _whole(self, total: Tensor) -> Tensor:
        """A rank's sum as that of all ranks."""
        if self.is_sharded:  # whose backward pass has given each rank the mean of its shard already
            return total.mul_(data_parallel_rank(self.trainer)[1])
        return self._over_ranks(total)
