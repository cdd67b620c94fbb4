"""How hard each sequence is for models that never saw it."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional import counterfactual
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Role, Sequences


class Difficulty(AgainstRetrained):
    """Mean loss under all retrained models; a fact about a sequence and not about the model that is judged.

    It stands in the rows of the original.
    """

    name = "difficulty"
    title = "Difficulty"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal = "none: it belongs to the text"
    cannot_tell = "anything of a model; it says how hard the text is without having been seen"
    source = "our reading of Baluta et al. 2024 (arXiv 2411.04388)"
    roles: ClassVar[tuple[Role, ...]] = ("original",)
    needs: ClassVar[frozenset[Needed]] = frozenset({"retrained"})

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return counterfactual.difficulty(-seen.retrained_log_probs / seen.tokens)
