"""How probable each answer is, per token."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.answer_probability import answer_probability
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class Probability(Measure):
    """``p(answer | question)^(1 / tokens)``: ``exp`` of minus the mean loss per target token (Maini et al. 2024).

    The prompt is no part of it; of a text without a prompt it is that of the text. Every sequence counts alike.
    """

    name = "probability"
    title = "Probability of the answer"
    unit = "probability per token"
    weight_unit = "sequences"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model"
    cannot_tell = "whether other answers are likelier still, or the same answer in other words"
    source = "TOFU, Maini et al. 2024 (arXiv 2401.06121)"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        return Measured(answer_probability(*seen.losses), seen.is_sequence.double())
