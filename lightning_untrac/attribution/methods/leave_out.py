"""Leave-out retraining: the ground truth."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.attribution.base import Attribution
from lightning_untrac.attribution.costs import Asked, episode_work
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.functional.costs import Work
from lightning_untrac.verb import Column


class LeaveOut(Attribution):
    """Influence of corpus Z on test set Z': ``L(Z'; theta_-Z) - L(Z'; theta_0)``, retrained without Z.

    Positive where the model needed Z. The paper's eq. 1 prints the opposite sign, at odds with its own table 2; this is
    the sign of the table. Retraining starts from the weights before training and, as in the paper (app. A.1), takes the
    same number of *steps* as training did: the other corpora are then seen more often, which shifts all influences of a
    test set down together and leaves their order alone. With the same number of *passes* instead, a large corpus looks
    more influential than it is, because less is trained without it.
    """

    method: ClassVar[str] = "leave_out"
    title: ClassVar[str] = "Leave-out retraining"
    summary: ClassVar[str] = (
        "Trains the model anew without one corpus at a time, and reads how much higher the loss on each test "
        "set ends: the truth that other methods are held against."
    )
    steps_title: ClassVar[str] = "steps of retraining"
    finding: ClassVar[str] = "retraining without it raises the loss"
    signed: ClassVar[bool] = False
    traced: ClassVar[bool] = False
    column: ClassVar[Column] = "leave-out"
    kind: ClassVar[EpisodeKind] = "leave_one_out"
    ascends: ClassVar[bool] = False

    @classmethod
    @override
    def work(cls, asked: Asked) -> Work | None:
        if asked.training_steps is None:
            return None
        before, asked.data.batch_size = asked.data.batch_size, asked.training_batch_size or asked.data.batch_size
        try:
            return episode_work(asked.data, cls.plan(asked.seeds, asked.training_steps), 1)
        finally:
            asked.data.batch_size = before
