"""GenEx: how much likelier each sequence is than to models that never saw it, in nats, in bits and per token."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.generalised_exposure import BITS, generalised_exposure, summarise_exposure
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Sequences, statistic
from lightning_untrac.metrics.summary import Statistic


class GenEx(AgainstRetrained):
    """``log E[p(x)] - log E[p_r(x)]``, means over seeds, of whole sequences.

    Above 0 a sequence is likelier than it should be, below 0 it was forgotten too well. It grows with the length of a
    sequence; :class:`GenExPerToken` does not. Our reading: see :mod:`lightning_untrac.functional.generalised_exposure`.
    """

    name = "genex"
    title = "GenEx"
    unit = "nats"
    ideal = "0, or as another retrained model"
    cannot_tell = "what comes out in other words; with few retrained models it hangs on the likeliest of them"
    source = "our reading of Baluta et al. 2024 (arXiv 2411.04388)"
    needs: ClassVar[frozenset[Needed]] = frozenset({"retrained"})
    scale: ClassVar[float] = 1.0

    @staticmethod
    def sides(seen: Sequences) -> tuple[Floats, Floats]:
        """What is compared: log-probabilities under the models judged, and under retrained ones."""
        return seen.log_probs, seen.retrained_log_probs

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return generalised_exposure(*self.sides(seen)) * self.scale

    @override
    def statistics(self, values: Floats, seen: Sequences) -> list[Statistic]:
        found = summarise_exposure(*self.sides(seen))
        return [
            statistic(name, mean.value * self.scale, mean.low * self.scale, mean.high * self.scale, self.unit)
            for name, mean in found._asdict().items()
        ]


class GenExBits(GenEx):
    """The same with logarithms to base 2, as Carlini's exposure has them."""

    name = "genex_bits"
    title = "GenEx in bits"
    unit = "bits"
    scale = BITS


class GenExPerToken(GenEx):
    """The same of mean log-probabilities per token, which sequences of other lengths can stand beside."""

    name = "genex_per_token"
    title = "GenEx per token"
    unit = "nats/token"

    @staticmethod
    @override
    def sides(seen: Sequences) -> tuple[Floats, Floats]:
        return seen.per_token, seen.retrained_log_probs / seen.tokens
