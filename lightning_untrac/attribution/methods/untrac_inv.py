"""UnTrac-Inv: unlearn each test set, read every corpus."""

from __future__ import annotations

from typing import ClassVar, Literal

from lightning_untrac.attribution.base import UNLEARN_LESS, Attribution
from lightning_untrac.data.episodes import EpisodeKind


class UnTracInv(Attribution):
    """Influence of corpus Z on test set Z': ``L(Z; theta_T') - L(Z; theta_0)`` after ascent on Z' (eq. 4).

    M episodes, each of which answers for every corpus and, on request, for every example of every corpus. The paper's
    setting: Adam, lr 5e-5, all 256 examples of a test set in one batch, 5 steps. To first order it equals UnTrac only
    for few steps of large batches (sec. 4.2), and in table 4 it is sensitive to the learning rate.
    """

    method: ClassVar[str] = "untrac_inv"
    title: ClassVar[str] = "UnTrac-Inv"
    summary: ClassVar[str] = (
        "Unlearns one test set at a time by gradient ascent, and reads how much the loss on each corpus rises."
    )
    finding: ClassVar[str] = "unlearning the test set raises the loss on it"
    precedence: ClassVar[int] = 1
    if_wrong: ClassVar[str] = UNLEARN_LESS
    kind: ClassVar[EpisodeKind] = "each_test_set"
    episode_key: ClassVar[Literal["corpus", "test_set"]] = "test_set"
    reads_examples: ClassVar[bool] = True
    opposite: ClassVar[str | None] = "untrac"
    paper_batch_size: ClassVar[int | None] = 256
