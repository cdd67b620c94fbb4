"""One-step unlearning with a diagonal Fisher matrix: each corpus unlearned, every test set read."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lightning_untrac.attribution.fisher_step import FisherStep
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.shares import comparable_shares
from lightning_untrac.functional.gradients import share_odds


class Fisher(Scoring):
    """Score of corpus Z on test set Z': ``L(Z'; theta_0 + a F^-1 G) - L(Z'; theta_0)``, a step really taken.

    One step of attribution by unlearning, in UnTrac's direction. ``F`` is the mean over training examples (blocks where
    corpora are packed) of the squared gradient of each one's mean loss per token, corpora weighted by their shares of
    the training tokens, plus :attr:`damping` times the mean of its elements. The paper's step is ``alpha / N``; here,
    by our choice, ``a`` is such that the corpus' own loss would rise by :attr:`target` to first order
    (``a = target / (G^T F^-1 G)``): comparable between corpora and models without tuning. For a small target the score
    tends to ``target * (G^T F^-1 G') / (G^T F^-1 G)``.

    * Unit: nats per token. Sign: positive where the corpus helps.
    * Cost: a forward and a backward pass over 256 examples (or ``max_examples``) of each corpus, one at a time, and
      over every corpus; a forward pass over every test set for each corpus and one more.
    * Memory: on the device the Fisher matrix, a copy of the trainable weights, a gradient and a step.
    * Needs: the trained weights, in float32 (steps so small are lost in half precision), not sharded.
    * Source: Wang et al. 2024 (arXiv 2406.09408), for text and in the other direction.

    Attributes:
        damping: of the Fisher matrix, relative to the mean of its elements; the paper's code has none.
        target: nats per token.
    """

    method: ClassVar[str] = "fisher"
    title: ClassVar[str] = "Fisher step"
    summary: ClassVar[str] = (
        "Unlearns one corpus at a time in a single step scaled by the inverse Fisher matrix, and reads how "
        "much the loss on each test set rises."
    )
    unit: ClassVar[str] = "nats/token"
    gradient_passes: ClassVar[float] = 2.5
    other_copies: ClassVar[float] = 4.0
    needs_float32: ClassVar[bool] = True
    damping: ClassVar[float] = 0.1
    target: ClassVar[float] = 0.01

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        step = FisherStep(run.data.corpus_names, run.data.test_set_names, self.damping, self.target)
        return step.rises(run, self.method).numpy()


class FisherShare(Fisher):
    """Fisher's score times ``p / (1 - p)``, with p the corpus' share of the training tokens.

    A large corpus leaves more behind when it goes; see ``CentredGradDot`` for where the weight comes from, which is our
    derivation. Unit, sign, cost, memory, source: those of :class:`Fisher`. Needs two corpora or more.
    """

    method: ClassVar[str] = "fisher_share"
    title: ClassVar[str] = "Fisher step x share"
    summary: ClassVar[str] = (
        "Takes the Fisher step's influences times how large the corpus is beside the rest of the mixture, "
        "because more is missing when a large corpus goes."
    )

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        odds = share_odds(comparable_shares(run.data, self.method)).numpy()
        return odds[:, None] * super().scores(run)
