"""Exposure of each example among unseen ones, by its rank."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional import exposure as exposures
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.among_unseen import AmongUnseen


class Exposure(AmongUnseen):
    """``log2 (N + 1) - log2 rank`` by loss among N unseen texts and itself, in bits (Carlini et al. 2019).

    Of N unseen texts the largest is ``log2 (N + 1)``; :class:`ExtrapolatedExposure` goes on from there. Unseen texts
    have 1.44 on the mean, and so has what was forgotten as if it never was seen. The published rank is among the whole
    space of a canary's secrets; here it is among the texts of a holdout, whatever they are.
    """

    name = "exposure"
    title = "Exposure"
    unit = "bits"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; 1.44 on the mean where unseen texts are of the same kind"
    cannot_tell = (
        "anything where the unseen texts are of another kind or length, and nothing beyond log2 of their number"
    )
    source = "Carlini et al. 2019 (arXiv 1802.08232)"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "extraction"})
    bounds = (0.0, float("inf"))

    @override
    def among(self, losses: Floats, unseen: Floats, themselves: bool) -> Floats:
        return exposures.unseen_exposure(unseen) if themselves else exposures.exposure(losses, unseen)
