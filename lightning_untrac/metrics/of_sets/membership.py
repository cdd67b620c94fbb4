"""Whether what was forgotten can be told from what was never trained on, by how a classifier answers."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from lightning_untrac.functional.membership_auc import membership_auc
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.metrics.of_sets.set_measure import ReadSet, SetMeasure


class _Membership(SetMeasure):
    """Chance that a forgotten example scores above one of the test sets, a tie counting half.

    Members are the forget set, the others all test sets and holdouts. The two may differ in more than membership, so
    that the retrained models' value is what to compare with, and not .5 alone.
    """

    unit = "AUROC"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained models'; .5 where forget set and test sets are of one kind"
    cannot_tell = "what an attack would find that trains models of its own"
    sign: ClassVar[float] = 1.0

    @override
    def __call__(self, read: ReadSet) -> list[Resampled] | None:
        if list(read.names) != [read.forget] or not read.unseen:
            return None
        (measure,) = self.reads
        members = self.sign * read.values(measure, read.forget)[:, ~np.isnan(read.classes[read.forget])]
        others = [self.sign * read.values(measure, name)[:, ~np.isnan(read.classes[name])] for name in read.unseen]
        return membership_auc(members, np.concatenate(others, axis=1))


class MembershipByLoss(_Membership):
    """A lower loss looks like a member's."""

    name = "membership_loss"
    title = "Membership by loss"
    source = "Yeom et al. 2018 (arXiv 1709.01604)"
    reads = ("loss",)
    sign = -1.0


class MembershipByConfidence(_Membership):
    """A larger probability of the first choice looks like a member's."""

    name = "membership_confidence"
    title = "Membership by confidence"
    source = "Salem et al. 2019 (arXiv 1806.01246)"
    reads = ("confidence",)


class MembershipByEntropy(_Membership):
    """A lower entropy of the prediction looks like a member's."""

    name = "membership_entropy"
    title = "Membership by entropy"
    source = "Salem et al. 2019 (arXiv 1806.01246)"
    reads = ("entropy",)
    sign = -1.0
