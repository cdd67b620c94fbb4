"""Attacks that tell sequences that were trained on from unseen twins, the most memorised ones apart from the rest."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.attack_auc import attack_auc, most_memorised
from lightning_untrac.functional.membership_auc import membership_auc
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.against.measure import AgainstRetrained, Needed, Role, Sequences, statistic
from lightning_untrac.metrics.canary_audit import is_of_one_text
from lightning_untrac.metrics.measure import Measure
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.results.measures import MeasureText, describe_measure

MOST: Final = 0.1
"""Share of the sequences that counts as the most memorised ones, by the model before unlearning."""


class LossAttack(AgainstRetrained):
    """Guess that a sequence was trained on where its loss per token is low (Yeom et al. 2018).

    An AUC of .5 is chance; of sequences that can't be told from their twins it is that of a retrained model. A mean
    hides sequences that survive (the argument of Barbulescu and Triantafillou 2024), so the tenth that the original had
    memorised most stands apart from the rest.
    """

    name = "attack_loss"
    title = "Attack by loss"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "AUC as of a retrained model; 0.5 where twins are of the same kind"
    cannot_tell = "what a stronger attack finds; with few sequences it is chance: see its standard error"
    source = "Yeom et al. 2018 (arXiv 1709.01604)"
    roles: ClassVar[tuple[Role, ...]] = ("original", "unlearned", "retrained")
    needs: ClassVar[frozenset[Needed]] = frozenset({"unseen"})
    is_of_one_text: bool = True
    """Whether the score of a text hangs on no other one, so that it can't tell by itself on which side a text is."""

    @property
    def sign(self) -> float:
        """What makes a score higher where a sequence looks more like one that was trained on."""
        return 1.0 if self.direction == "higher" else -1.0

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return seen.losses

    def unseen(self, seen: Sequences) -> Floats:
        """The score of unseen twins."""
        return seen.unseen_losses

    @override
    def statistics(self, values: Floats, seen: Sequences) -> list[Statistic]:
        most = most_memorised(seen.original_known, MOST)
        found = []
        for name, chosen in (("auc", np.full_like(most, True)), ("auc_most_memorised", most), ("auc_rest", ~most)):
            members, others = self.sign * values[chosen], self.sign * self.unseen(seen)
            attack = attack_auc(members, others)
            (resampled,) = membership_auc(members[None, ~np.isnan(members)], others[None, ~np.isnan(others)])
            found.append(statistic(name, attack.auc, *resampled.mean[1:]))
            found.append(statistic(f"{name}_error", attack.error))
        return found


class NeighbourhoodAttack(LossAttack):
    """Guess that a sequence was trained on where it is likelier than its neighbours (Mattern et al. 2023).

    An attack of this kind stands in the code beside Barbulescu and Triantafillou 2024; whether it is the one that their
    paper calls MIAU is not known.
    """

    name = "attack_neighbourhood"
    title = "Attack by neighbours"
    source = "Mattern et al. 2023 (arXiv 2305.18462), with neighbours from a model's own predictions"
    needs: ClassVar[frozenset[Needed]] = frozenset({"unseen", "neighbourhood"})

    @override
    def __call__(self, seen: Sequences) -> Floats:
        assert seen.neighbourhood is not None
        return seen.neighbourhood

    @override
    def unseen(self, seen: Sequences) -> Floats:
        assert seen.unseen_neighbourhood is not None
        return seen.unseen_neighbourhood


class ScoreAttack(LossAttack):
    """Guess that a sequence was trained on by any measure that says how well a text is known.

    Args:
        measure: with a direction.
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure.name
        title = measure.title[:1].lower() + measure.title[1:] if measure.title[1:2].islower() else measure.title
        # Attributes of the instance: there is an attack for each measure, and no class of its own.
        self.name = f"attack_{measure.name}"  # type: ignore[misc]
        self.title = f"Attack by {title}"  # type: ignore[misc]
        self.unit, self.source = measure.unit, measure.source  # type: ignore[misc]
        self.direction = measure.direction  # type: ignore[misc]
        self.is_of_one_text = is_of_one_text(measure)
        describe_measure(self.name, MeasureText.of(self, self.title))

    @override
    def suits(self, seen: Sequences) -> bool:
        return super().suits(seen) and self.measure in seen.scores

    @override
    def __call__(self, seen: Sequences) -> Floats:
        return seen.scores[self.measure]

    @override
    def unseen(self, seen: Sequences) -> Floats:
        return seen.unseen_scores[self.measure]
