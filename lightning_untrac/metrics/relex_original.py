"""Relative exposure of each example, read against the model before unlearning."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs


class RelExOriginal(Measure):
    """``log p(x) - log p_0(x)`` with p_0 the model before unlearning, in nats per target token.

    One of two readings of "relative exposure" (Baluta et al. 2024), whose text could not be had; the other is
    :class:`~lightning_untrac.metrics.relex_unseen.RelExUnseen`. It is 0 before the first step, and how far it should
    fall only a retrained model knows.
    """

    name = "relex_original"
    title = "RelEx against the model before (a reading)"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "on what is to stay 0; on the forget set that of the retrained model"
    cannot_tell = "how likely a text should be; only how far it has moved"
    source = "our reading of Baluta et al. 2024 (arXiv 2411.04388)"
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"reference_log_probs"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        assert seen.reference_log_probs is not None
        counts = seen.losses[1]
        return Measured((seen.log_probs - seen.reference_log_probs) / counts, counts)
