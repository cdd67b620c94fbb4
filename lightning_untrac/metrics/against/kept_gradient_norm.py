"""How large the gradient of each sequence was along the original's training."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.counterfactual import mean_square
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Role, Sequences


class KeptGradientNorm(AgainstRetrained):
    """Mean over the models that a training kept of the squared norm of a sequence's gradient; a fact about a sequence.

    Steps that unlearning takes are said to grow with the per-instance privacy loss, which grows with the gradients that
    a sequence had along the training (arXiv 2505.18786). This is our proxy of it: the gradient is that of the mean loss
    per target token, over all parameters that may move, without dropout, and a few kept models stand for all steps. It
    stands in the rows of the original.
    """

    name = "kept_gradient_norm"
    title = "Squared gradient norm in training"
    unit = "(nats/token per unit of weight)^2"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal = "none: it belongs to the text and the training"
    cannot_tell = "anything of an unlearned model; it says beforehand which sequences may take more steps"
    source = "our proxy of the per-instance privacy loss (arXiv 2505.18786, read in a summary)"
    roles: ClassVar[tuple[Role, ...]] = ("original",)
    needs: ClassVar[frozenset[Needed]] = frozenset({"kept_models"})

    @override
    def __call__(self, seen: Sequences) -> Floats:
        assert seen.kept_gradient_norms is not None
        return mean_square(seen.kept_gradient_norms)
