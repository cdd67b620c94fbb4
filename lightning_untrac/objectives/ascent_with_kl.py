"""Ascent that is held to the trained model's own predictions on what must stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.retention import mean_token_divergence
from lightning_untrac.objectives.base import MeasuresLoss, Objective, Unlearns
from lightning_untrac.objectives.checks import non_negative
from lightning_untrac.objectives.kept import KeptWeights

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class AscentWithKL(Objective):
    """``-L(forget) + w KL(theta_0 || theta)`` on retained data, in nats per target token (TOFU, arXiv 2401.06121).

    The divergence of the predictions from those of the pre-unlearning weights theta_0, the mean over the places of the
    retained data's target tokens (prompts and padding do not count). At theta_0 it is 0 and so is its gradient: the
    first step is plain ascent.

    Memory: one more copy of the trainable parameters on the device (with LoRA, of the adapters alone), also in
    checkpoints, and the logits of a second and a third forward pass. Weights must not be sharded.

    Args:
        retain_weight: w; 0 is plain ascent.

    Raises:
        ValueError: for a weight below 0.
    """

    needs_retain: ClassVar[bool] = True
    needs_whole_weights: ClassVar[bool] = True

    def __init__(self, retain_weight: float = 1.0) -> None:
        self.retain_weight = non_negative("AscentWithKL", "retain_weight", retain_weight)
        self._start = KeptWeights()

    @override
    def prepare(self, module: Unlearns) -> None:
        self._start = KeptWeights.of(module)

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        return -module.mean_loss(batch)

    @override
    def on_retained(self, module: Unlearns, batch: LanguageBatch) -> Tensor:
        reference, _ = module.forward_with(self._start.beside(module), batch)
        return self.retain_weight * mean_token_divergence(reference, *module.forward(batch))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start.tensors}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._start = KeptWeights(state["start"])
