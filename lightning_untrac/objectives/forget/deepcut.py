"""Move what is forgotten away from its own class and towards the others."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from lightning_untrac.functional.contrastive import DENOMINATORS, Denominator, contrastive_unlearning
from lightning_untrac.objectives.checks import whole_number
from lightning_untrac.objectives.layers import targets_of_views
from lightning_untrac.objectives.partners import PartneredTerm, of_all_ranks
from lightning_untrac.objectives.projection import ProjectionHead
from lightning_untrac.objectives.terms import Outputs, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class DeepCUT(PartneredTerm):
    """Contrastive unlearning in the latent space of a classifier, the mean over forget samples.

    Deep contrastive unlearning for language models (He et al. 2025, arXiv 2503.14900): ``CE(retained) + gamma L_f``,
    which is ``--objective deepcut --retain loss`` with gamma as this term's weight. Only a description of L_f was at
    hand, so that it is our reading, after contrastive unlearning (Lee et al., arXiv 2401.10458): a forget sample is
    pushed from retained samples of its class, the nearest first, and pulled to those of other classes
    (:func:`~lightning_untrac.functional.contrastive.contrastive_unlearning`).

    A sample is what has a target, and its class is the target: a text of a sequence classifier, at the place that the
    classifier reads; each labelled token of a token classifier; of a language model each token that is predicted. It is
    held against the retained ones of its whole step, over all ranks: accumulation is refused. A sample for which the
    step has no retained one of another class is skipped, and counts as 0 in the mean; one with none of its own class is
    only pulled. Stop where the forget set is as well known as the test set, not at zero.

    Args:
        layer: its number from 0, or a share of the depth as a number with a point; the last by default.
        temperature: above 0; .7 is that of Lee et al.
        denominator: ``same``, what Lee et al. have, or ``all``: a supervised contrastive loss with the classes
            reversed, which is never below 0.
        detach_retained: whether only the forget samples are moved by it; Lee et al. move both.
        views: of each sample, the first the step's own, the others with dropout; each costs a forward pass more.
            DeepCUT has several; how many was not found.
        stratified: whether each step is given a retained sample of every class that is forgotten in it, and one of
            another class, where a sample is a whole text; a class without any is then an error. Turn it off to forget
            a whole class, which is only pulled to the others.
        projection: width of a head of its own (linear, ReLU, linear) through which the states go before they are held
            against each other; it learns at the model's learning rate and is thrown away. None for none, so that the
            states that the classifier reads are moved themselves. Whether DeepCUT has one was not found.
        weight: what it is multiplied by, gamma; .1 to 1 are what to begin with.

    Raises:
        ValueError: for numbers out of range.
    """

    name: ClassVar[str] = "deepcut"

    def __init__(
        self,
        layer: int | float = 1.0,
        temperature: float = 0.7,
        denominator: Denominator = "same",
        detach_retained: bool = False,
        views: int = 2,
        stratified: bool = True,
        projection: int | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(layer, temperature, detach_retained, views, weight)
        if denominator not in DENOMINATORS:
            raise ValueError(f"DeepCUT(denominator={denominator!r}): give one of {', '.join(DENOMINATORS)}")
        self.denominator = denominator
        self.stratifies = self.stratified = stratified
        self.projection = None if projection is None else whole_number("DeepCUT", "projection", projection, least=1)
        self.has_layers = projection is not None
        self._head: ProjectionHead | None = None

    @override
    def own_layers(self, width: int) -> nn.Module | None:
        self._head = None if self.projection is None else ProjectionHead(width, self.projection)
        return self._head

    @override
    def prepare(self, module: Unlearns) -> None:
        if self._head is not None:
            self._head.begin()

    def _vectors(self, outputs: Outputs) -> Tensor:
        """Of every view, one after the other, ``[views * places, width]``."""
        states = targets_of_views(outputs, self.layer, self.views)
        return states if self._head is None else self._head(states)

    @override
    def __call__(self, seen: Seen) -> Term:
        forget, retain = seen.forget, seen.of("retain")
        values = contrastive_unlearning(
            self._vectors(forget),
            forget.target_ids.repeat(self.views),
            self.partners(self._vectors(retain)),
            of_all_ranks(retain.target_ids.repeat(self.views)),
            temperature=self.temperature,
            denominator=self.denominator,
        )
        return Term(values.sum() / self.views, forget.count("token"))
