"""RelEx of each sequence, read against the model before unlearning."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.generalised_exposure import log_mean_exp
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Role, Sequences


class RelExOriginalSum(AgainstRetrained):
    """``log p(x) - log p_0(x)`` of whole sequences, p_0 the model before unlearning.

    One of two readings of "relative exposure"; ``relex_unseen`` is the other. What it should be only a retrained model
    knows, and that stands beside it.
    """

    name = "relex_original_sum"
    title = "RelEx against the original (a reading)"
    unit = "nats"
    ideal = "as a retrained model"
    cannot_tell = "how likely a sequence should be; only how far it has moved"
    source = "our reading of Baluta et al. 2024 (arXiv 2411.04388)"
    roles: ClassVar[tuple[Role, ...]] = ("unlearned", "seeds", "retrained")

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return log_mean_exp(seen.log_probs) - seen.original_log_probs
