"""The size of each example's gradient."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs


class GradientNorm(Measure):
    """Euclidean norm of the gradient of an example's mean loss per target token, over all parameters that may move.

    Training ends where the gradients of what was trained on are small, so that a low norm looks like a member. One
    vector of all parameters has one norm, in evaluation mode, without dropout; tied weights count once. Published code
    takes the mean over parameter tensors of their norms, in training mode: its numbers hang on how weights are cut into
    tensors, and on chance. Of a model with adapters (LoRA) the adapters' weights are those that may move, so that its
    norm is no number to hold against that of a model without.

    Cost: a forward and a backward pass of each example by itself, about three forward passes of it, beside the one of
    the batch. Memory: one example's activations and one gradient.
    """

    name = "gradient_norm"
    title = "Gradient norm"
    unit = "nats/token per unit of weight"
    weight_unit = "sequences"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = (
        "membership by itself: easy text has small gradients too; hold it against unseen text of the same kind"
    )
    source = "gradient norm attack, as in OpenUnlearning (arXiv 2506.12618), with one norm over all parameters"
    groups: ClassVar[frozenset[str]] = frozenset({"full", "membership"})
    bounds = (0.0, float("inf"))
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"gradients"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        assert seen.gradient_norms is not None
        return Measured(seen.gradient_norms, seen.is_sequence.double())
