"""Each example's least likely tokens beside what else could stand there."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.min_k import lowest_mean
from lightning_untrac.functional.standardised import standardised_log_probs
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.metrics.min_k import SHARE, checked_share
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import Outputs


class MinKPlusPlus(Measure):
    """Minus the mean of the lowest standardised log-probabilities of target tokens: Min-K%++ (Zhang et al. 2024).

    ``z = (log p(x) - mean) / deviation``, over what the model predicts for the place: a token counts as unlikely where
    others were likelier. A variance below 1e-6 is taken for that much; the authors' code divides by 0 there. With
    another share than 20 % it is called ``min_k_plus_plus_share_0_4`` in tables.

    Args:
        share: of an example's target tokens, rounded down, at least one token.

    Raises:
        ConfigurationError: if the share is out of range.
    """

    name = "min_k_plus_plus"
    title = "Min-K%++"
    unit = "standard deviations"
    weight_unit = "sequences"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "membership by itself: hold it against unseen text of the same kind"
    source = "Zhang et al. 2024 (arXiv 2404.02936)"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "membership"})

    def __init__(self, share: float = SHARE) -> None:
        self.share = checked_share(share)
        name_after_settings(self, share=share)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        z = standardised_log_probs(seen.logits.flatten(0, 1), seen.targets.flatten(), seen.token_losses.flatten())
        z = z.view_as(seen.targets)
        return Measured(-lowest_mean(z, seen.places, self.share), seen.is_sequence.double())
