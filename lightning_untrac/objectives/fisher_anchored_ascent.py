"""Ascent that moves the weights least where what must stay depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.retention import anchor_penalty
from lightning_untrac.objectives.base import MeasuresLoss, Objective, Unlearns
from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.kept import KeptWeights

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class FisherAnchoredAscent(Objective):
    """``-L(forget) + strength/2 sum_i F_i (theta_i - theta_0,i)^2``: elastic weight consolidation (EWC).

    The anchor of Kirkpatrick et al. 2017 (arXiv 1612.00796, eq. 3). F is the diagonal empirical Fisher matrix of the
    retained data at the pre-unlearning weights theta_0: the mean, over ``fisher_examples`` of its examples (or blocks),
    of the squared gradient of an example's mean loss per token. Every rank computes all of it, so that it is the same
    on all to the last bit. A parameter that no retained example reaches is free.

    Before each episode it costs ``fisher_examples`` forward and backward passes of single examples, and a step some
    sums over the weights. Memory: two more copies of the trainable parameters on the device (theta_0, and F in float32
    at least), also in checkpoints, and the distance from theta_0 until a step's backward pass is through. Weights must
    not be sharded. With ``precision: 16-mixed`` small squared gradients would underflow, so float16 is refused.

    Args:
        strength: of the anchor; 0 is plain ascent. It has no default, because squared gradients of trained models are
            small and of every scale: try powers of ten. On a quickstart model (30 Adam steps of 16 at 3e-4 on
            ``forum``) 1e5 left rises of .20 nats per token for forum and .06 to .08 for the other corpora, where plain
            ascent broke the model.
        fisher_examples: retained examples (or blocks) that F is estimated from, at most all of them.

    Raises:
        ValueError: for a strength below 0, or fewer than 1 example.
        UnlearningError: before the first step, if F is zero or not finite.
    """

    needs_retain: ClassVar[bool] = True
    needs_whole_weights: ClassVar[bool] = True
    underflows_in_float16: ClassVar[bool] = True

    def __init__(self, strength: float, fisher_examples: int = 64) -> None:
        self.strength = non_negative("FisherAnchoredAscent", "strength", strength)
        if fisher_examples < 1:
            raise ValueError(f"FisherAnchoredAscent(fisher_examples={fisher_examples}): give at least 1 example")
        self.fisher_examples = fisher_examples
        self._start, self._fisher = KeptWeights(), KeptWeights()

    @override
    def prepare(self, module: Unlearns) -> None:
        self._start = KeptWeights.of(module)
        sums = {
            name: torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
            for name, tensor in self._start.tensors.items()
        }
        read = 0
        for example in module.retained_examples(self.fisher_examples):
            if not example.get("has_targets", True):
                continue
            read += 1
            for name, gradient in module.loss_gradient(example).items():
                sums[name] += gradient.to(sums[name].dtype).square()
        largest = max(float(total.max()) for total in sums.values())
        if not 0 < largest < float("inf"):
            raise UnlearningError(
                f"FisherAnchoredAscent: the Fisher matrix of {read} retained examples has the largest element "
                f"{largest}, expected above 0 and finite; check that the model is trained and the corpora have targets"
            )
        self._fisher = KeptWeights({name: total / read for name, total in sums.items()})

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        return -module.mean_loss(batch)

    @override
    def on_weights(self, module: Unlearns) -> Tensor | None:
        weights: dict[str, Tensor] = {**module.trainable_parameters()}
        return self.strength * anchor_penalty(weights, self._start.beside(module), self._fisher.beside(module))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start.tensors, "fisher": self._fisher.tensors}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._start, self._fisher = KeptWeights(state["start"]), KeptWeights(state["fisher"])
