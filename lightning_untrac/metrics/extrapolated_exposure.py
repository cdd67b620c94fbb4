"""Exposure of each example among unseen ones, by a fitted distribution."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.exposure import extrapolated_exposure
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.among_unseen import AmongUnseen


class ExtrapolatedExposure(AmongUnseen):
    """``-log2 P(an unseen text has at most this loss)``, by a skew-normal fit to unseen losses, in bits.

    It has no largest value short of 1074 bits, where numbers end. Ten unseen texts are the least; far out it is the
    tail of a fit, and more unseen texts make it firmer.
    """

    name = "extrapolated_exposure"
    title = "Exposure, extrapolated"
    unit = "bits"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; 1.44 on the mean where unseen texts are of the same kind"
    cannot_tell = (
        "anything where the unseen texts are of another kind or length; far out it is what the fitted tail says"
    )
    source = "Carlini et al. 2019 (arXiv 1802.08232), section 4.2"
    bounds = (0.0, float("inf"))

    @override
    def among(self, losses: Floats, unseen: Floats, themselves: bool) -> Floats:
        return extrapolated_exposure(losses, unseen)
