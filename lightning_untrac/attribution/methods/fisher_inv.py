"""One-step unlearning with a diagonal Fisher matrix: each test set unlearned, every corpus read."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lightning_untrac.attribution.fisher_step import FisherStep
from lightning_untrac.attribution.methods.fisher import Fisher
from lightning_untrac.attribution.scoring import ScoringRun


class FisherInv(Fisher):
    """Score of corpus Z on test set Z': ``L(Z; theta_0 + a F^-1 G') - L(Z; theta_0)``, a step really taken.

    Attribution by unlearning in its own direction, UnTrac-Inv's. ``F``, the damping and the choice of ``a`` (here by
    the test set's own loss) are those of :class:`~lightning_untrac.attribution.methods.fisher.Fisher`. For a small
    target the score tends to ``target * (G^T F^-1 G') / (G'^T F^-1 G')``: the same product, in another scale for each
    test set.

    * Unit: nats per token. Sign: positive where the corpus helps.
    * Cost: as in ``fisher`` for the matrix; a forward and a backward pass over every test set; a forward pass over
      every corpus for each test set and one more (bounded by ``max_examples``).
    * Memory, needs: those of ``fisher``.
    * Source: Wang et al. 2024 (arXiv 2406.09408).
    """

    method: ClassVar[str] = "fisher_inv"
    title: ClassVar[str] = "Fisher step, inverse"
    summary: ClassVar[str] = (
        "Unlearns one test set at a time in a single step scaled by the inverse Fisher matrix, and reads how "
        "much the loss on each corpus rises."
    )

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        step = FisherStep(run.data.test_set_names, run.data.corpus_names, self.damping, self.target)
        return step.rises(run, self.method).numpy().T
