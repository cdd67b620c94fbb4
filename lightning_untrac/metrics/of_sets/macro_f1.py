"""Macro-F1 of a classifier."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.f1 import macro_f1
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.metrics.of_sets.set_measure import ReadSet, SetMeasure


class MacroF1(SetMeasure):
    """The mean over classes of the harmonic mean of precision and recall: small classes count as much as large ones."""

    name = "macro_f1"
    title = "Macro-F1"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; lower than that shows as well that something was forgotten"
    cannot_tell = "how sure the model is of its choices"
    source = "the usual one, as torchmetrics counts it"
    reads = ("predicted_class",)

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        return macro_f1([read.values("predicted_class", name) for name in read.names],
                        [read.classes[name] for name in read.names])  # fmt: skip
