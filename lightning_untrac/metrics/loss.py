"""The loss of each example."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.loss import perplexity
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class Loss(Measure):
    """Negative log-likelihood per target token, in nats: see ``functional.example_losses``.

    An example's weight is its number of target tokens, so that the mean of a dataset is the sum of all token losses
    divided by the number of all target tokens. Its exponential is the dataset's perplexity, which stands beside it as
    the statistic ``perplexity``: as the field has it, and not the mean of the examples' own perplexities.
    """

    name = "loss"
    title = "Loss"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model; of the forget set often as of text that was never seen"
    cannot_tell = (
        "whether a text can still be drawn out of the model by another prompt, or comes back after little training"
    )
    source = "the training objective itself"
    groups: ClassVar[frozenset[str]] = frozenset({"quick", "membership"})
    bounds = (0.0, float("inf"))

    @override
    def __call__(self, seen: Outputs) -> Measured:
        sums, counts = seen.losses
        return Measured(sums / counts, counts)

    @override
    def of_mean(self, mean: float) -> dict[str, float]:
        return {"perplexity": perplexity(mean)}
