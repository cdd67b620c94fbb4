"""UnTrac: unlearn each corpus, read every test set."""

from __future__ import annotations

from typing import ClassVar

from lightning_untrac.attribution.base import UNLEARN_LESS, Attribution
from lightning_untrac.data.episodes import EpisodeKind


class UnTrac(Attribution):
    """Influence of corpus Z on test set Z': ``L(Z'; theta_T) - L(Z'; theta_0)`` after ascent on Z (eq. 2 and 3).

    K episodes, each of which answers for every test set. The paper's setting: Adam, lr 5e-5, batch 1, one pass, no
    clipping; it found the method robust to the learning rate with preconditioned optimizers, and useless with SGD
    (table 4). Losses are means per token here, sums over batches in the paper: with corpora of unequal size only the
    mean is comparable.

    The default is ours: batches of 64, read where the corpus' own loss has risen by :attr:`own_rise` nats per token. A
    pass in batches of 1 breaks models that were trained on small corpora (benchmarks/RESULTS.md). ``--setting paper``
    is the paper's.
    """

    method: ClassVar[str] = "untrac"
    title: ClassVar[str] = "UnTrac"
    summary: ClassVar[str] = (
        "Unlearns one corpus at a time by gradient ascent, and reads how much the loss on each test set rises."
    )
    finding: ClassVar[str] = "unlearning it raises the loss"
    precedence: ClassVar[int] = 2
    if_wrong: ClassVar[str] = UNLEARN_LESS
    kind: ClassVar[EpisodeKind] = "each_corpus"
    opposite: ClassVar[str | None] = "untrac_inv"
    own_rise: ClassVar[float | None] = 0.02
    paper_batch_size: ClassVar[int | None] = 1
