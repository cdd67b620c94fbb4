"""How much likelier each example is than copies of it with some tokens replaced."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.neighbours import COUNT, SHARE, neighbourhood_score
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs

__all__ = ["COUNT", "SHARE", "Neighbourhood"]


class Neighbourhood(Measure):
    """Mean log-likelihood of an example's neighbours minus its own, in nats per target token (Mattern et al. 2023).

    A neighbour has :data:`SHARE` of the target tokens replaced. Published neighbours come from a masked language model;
    here another token is drawn from what the model that is measured predicts for the place, its true token left
    out, which needs nothing beside the model. Chance is of the dataset's name, the example and the neighbour alone.
    ``untrac judge --neighbours`` takes neighbours from one model for all, which compares models better.

    A low score says that the very words are known, and not only what could stand there. It takes :data:`COUNT` more
    forward passes. An attack of this kind stands in the code beside Barbulescu and Triantafillou 2024; whether it is
    the one that their paper calls MIAU is not known.
    """

    name = "neighbourhood"
    title = "Neighbourhood score"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "whether a text was seen, where its likeliest copies are its own paraphrases in the data"
    source = "Mattern et al. 2023 (arXiv 2305.18462), with neighbours from the model's own predictions"
    groups: ClassVar[frozenset[str]] = frozenset({"full", "membership"})
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"neighbours"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        assert seen.neighbour_likelihoods is not None
        sums, counts = seen.losses
        return Measured(neighbourhood_score(-sums / counts, seen.neighbour_likelihoods), counts)
