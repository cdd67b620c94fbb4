"""Memorisation accuracy of each example."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.memorisation import memorisation_accuracy
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class MemorisationAccuracy(Measure):
    """Share of a text's target tokens that are the model's first choice, in one forward pass.

    Published (Tirumala et al. 2022; Jang et al. 2022): ``MA(x) = 1/(T-1) * sum over t = 1 .. T-1 of
    1{argmax p(w | x_<t) = x_t}`` for a text of T tokens (there T = 200), whose first token is context only. Their code
    asks the model for one token at a time; one pass over the true text gives the same choices.

    Our reading, where it goes beyond that: target tokens count and no others. So the first token of a text counts where
    BOS stands before it, a prompt does not count, and texts may have any length. The mean of a dataset weights an
    example by its target tokens, as the loss does; for texts of one length that is the published plain mean.
    """

    name = "memorisation_accuracy"
    title = "Memorisation accuracy"
    unit = "share of tokens"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; published thresholds take the mean over unseen texts"
    cannot_tell = (
        "how sure the model is of its choices, and whether it gives the text away when it goes on from its own tokens"
    )
    source = "Tirumala et al. 2022; Jang et al. 2022 (arXiv 2210.01504), with our reading of targets"
    groups: ClassVar[frozenset[str]] = frozenset({"quick", "extraction"})
    bounds = (0.0, 1.0)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        return Measured(*memorisation_accuracy(seen.hits, seen.targets))
