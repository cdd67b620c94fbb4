"""Relative exposure of each example, read against unseen ones."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.generalised_exposure import relative_exposure
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.among_unseen import AmongUnseen


class RelExUnseen(AmongUnseen):
    """``log p(x) - log E[p(z)]`` over unseen texts z of the same kind, with p per token, in nats per token.

    One of two readings of "relative exposure" (Baluta et al. 2024), whose text could not be had; the other is
    :class:`~lightning_untrac.metrics.relex_original.RelExOriginal`. It needs no retrained model. Likelihoods are those
    per token (geometric means), so that texts of other lengths can stand beside each other.
    """

    name = "relex_unseen"
    title = "RelEx against unseen texts (a reading)"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; about 0 where unseen texts are of the same kind"
    cannot_tell = "whether a text is likely because it was seen or because it is easy"
    source = "our reading of Baluta et al. 2024 (arXiv 2411.04388)"

    @override
    def among(self, losses: Floats, unseen: Floats, themselves: bool) -> Floats:
        return relative_exposure(-losses, -unseen)
