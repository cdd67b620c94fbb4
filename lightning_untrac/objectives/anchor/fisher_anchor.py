"""Move the weights least where what must stay depends on them."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.retention import anchor_penalty
from lightning_untrac.objectives.terms import Anchor, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class FisherAnchor(Anchor):
    """``weight/2 sum_i F_i (theta_i - theta_0,i)^2``: elastic weight consolidation (EWC).

    The anchor of Kirkpatrick et al. 2017 (arXiv 1612.00796, eq. 3). F is the diagonal empirical Fisher matrix of the
    retained data at the pre-unlearning weights theta_0: the mean, over ``fisher_examples`` of its examples (or blocks),
    of the squared gradient of an example's mean loss per token. Every rank reads all of those examples, so that whole
    weights have the same matrix on all ranks to the last bit. A parameter that no retained example reaches is free.

    Before each episode it costs ``fisher_examples`` forward and backward passes of single examples, and a step some
    sums over the weights. Memory: two more copies of the trainable parameters on the device (theta_0, and F in float32
    at least; F is also in checkpoints), and the distance from theta_0 until a step's backward pass is through; where
    weights are sharded (FSDP2), each rank holds its part of those. With ``precision: 16-mixed`` small squared gradients
    would underflow, so float16 is refused.

    Args:
        weight: of the anchor; 0 is none. It has no default, because squared gradients of trained models are small and
            of every scale: try powers of ten. On a quickstart model (30 Adam steps of 16 at 3e-4 on ``forum``) 1e5 left
            rises of .20 nats per token for forum and .06 to .08 for the other corpora, where plain ascent broke the
            model.
        fisher_examples: retained examples (or blocks) that F is estimated from, at most all of them.

    Raises:
        ValueError: for a weight below 0, or fewer than 1 example.
        UnlearningError: before the first step, if F is zero or not finite.
    """

    needs_retained_examples: ClassVar[bool] = True
    needs_whole_weights: ClassVar[bool] = False
    underflows_in_float16: ClassVar[bool] = True

    def __init__(self, weight: float, fisher_examples: int = 64) -> None:
        super().__init__(weight)
        if fisher_examples < 1:
            raise ValueError(f"FisherAnchor(fisher_examples={fisher_examples}): give at least 1 example")
        self.fisher_examples = fisher_examples
        self._fisher: dict[str, Tensor] = {}

    @override
    def prepare(self, module: Unlearns) -> None:
        sums = {
            name: torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
            for name, tensor in module.own_parts().items()
        }
        read = 0
        for example in module.retained_examples(self.fisher_examples):
            if not example.get("has_targets", True):
                continue
            read += 1
            for name, gradient in module.loss_gradient(example).items():
                sums[name] += gradient.to(sums[name].dtype).square()
        trace = float(module.sum_over_shards(torch.stack([total.double().sum() for total in sums.values()]).sum()))
        if not 0 < trace < float("inf"):
            raise UnlearningError(
                f"FisherAnchor: the Fisher matrix of {read} retained examples has the trace {trace}, expected above 0 "
                "and finite; check that the model is trained and the corpora have targets"
            )
        self._fisher = {name: total / read for name, total in sums.items()}

    @override
    def __call__(self, seen: Seen) -> Term:
        if seen.weights is None or seen.start is None or self._fisher.keys() != seen.weights.keys():
            raise RuntimeError(
                f"FisherAnchor has a Fisher matrix of {len(self._fisher)} parameters and the step has "
                f"{len(seen.weights or {})}; call prepare(module) before the first step, with the parameters that are "
                "going to move"
            )
        for name, weight in seen.weights.items():  # from a checkpoint they come on the CPU
            self._fisher[name] = self._fisher[name].to(weight.device)
        return Term(anchor_penalty(seen.weights, seen.start, self._fisher), 1)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"fisher": self._fisher}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._fisher = dict(state["fisher"])
