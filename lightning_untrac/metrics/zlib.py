"""The loss of each example over the size of its compressed text."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.zlib_score import zlib_scores
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs


class Zlib(Measure):
    """Mean loss per target token over the bytes that zlib makes of the text of the targets (Carlini et al. 2021).

    A text that repeats itself is likely for every model, and small when compressed; dividing takes that out. The text
    is what the target tokens say, without special ones; a prompt is no part of it. Long texts have smaller scores, so
    that only texts of like lengths can be held against each other. Builds of zlib may differ by a byte or two.
    """

    name = "zlib"
    title = "Loss over zlib bytes"
    unit = "nats/token/byte"
    weight_unit = "sequences"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "membership by itself: hold it against unseen text of the same kind and length"
    source = "Carlini et al. 2021 (arXiv 2012.07805)"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "membership"})
    bounds = (0.0, float("inf"))
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"texts"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        sums, counts = seen.losses
        return Measured(zlib_scores(sums / counts, seen.texts), (counts > 0).double())
