"""The loss of each example's least likely tokens."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.min_k import lowest_mean
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import Outputs

SHARE: Final = 0.2
"""Of the tokens, the authors' choice; MUSE and TOFU take 0.4."""


class MinK(Measure):
    """Minus the mean log-probability of the least likely target tokens: Min-K% Prob (Shi et al. 2023).

    A text that was never seen has a few tokens that nothing made likely; one that was seen has fewer. With another
    share than :data:`SHARE` it is called ``min_k_share_0_4`` in tables.

    Args:
        share: of an example's target tokens, rounded down, at least one token.

    Raises:
        ConfigurationError: if the share is out of range.
    """

    name = "min_k"
    title = "Min-K% prob"
    unit = "nats/token"
    weight_unit = "sequences"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "membership by itself: hold it against unseen text of the same kind"
    source = "Shi et al. 2023 (arXiv 2310.16789)"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "membership"})
    bounds = (0.0, float("inf"))

    def __init__(self, share: float = SHARE) -> None:
        self.share = checked_share(share)
        name_after_settings(self, share=share)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        found = lowest_mean(-seen.token_losses, seen.places, self.share)
        return Measured(-found, seen.is_sequence.double())


def checked_share(share: float) -> float:
    """A share of tokens.

    Args:
        share: above 0, at most 1.

    Raises:
        ConfigurationError: if it is out of range.
    """
    good = isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1
    raise_if_any([] if good else [f"share is {share!r}; give the share of the tokens, above 0 and at most 1"])
    return share
