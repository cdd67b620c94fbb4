"""GradDot: a corpus' gradient times a test set's."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.scoring import Scoring, ScoringRun


class GradDot(Scoring):
    """Score of corpus Z on test set Z': ``G . G'``, gradients of the mean losses per token at the trained weights.

    What one infinitely small step of plain gradient ascent on the corpus raises the test set's loss by, per unit of
    learning rate; UnTrac and UnTrac-Inv with one step of SGD tend to it. Exact: every token of every dataset counts
    once (or of ``max_examples`` examples drawn once).

    * Unit: (nats/token)^2 per squared unit of weight; only ratios mean anything. Sign: positive where the corpus helps.
    * Cost: a forward and a backward pass over every corpus and test set.
    * Memory: a gradient on the device, and in main memory one for each test set and one of a corpus.
    * Needs: the trained weights. Any parameter subset, any number of ranks, sharded weights.
    * Source: Charpiat et al. 2019; Pruthi et al. 2020 (TracIn, with the last checkpoint alone); UnTrac sec. 4.3.
    """

    method: ClassVar[str] = "graddot"
    title: ClassVar[str] = "GradDot"
    summary: ClassVar[str] = (
        "Multiplies the gradient of each corpus with that of each test set: what one infinitely small step "
        "of ascent on the corpus would do to the loss on the test set."
    )
    unit: ClassVar[str] = "gradient product"
    gradient_passes: ClassVar[float] = 1.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "test sets"
    other_copies: ClassVar[float] = 2.0

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        return gradient_products(run, self.method).products.numpy()
