"""GradCos: the cosine between a corpus' gradient and a test set's."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.functional.gradients import cosines


class GradCos(Scoring):
    """Score of corpus Z on test set Z': ``G . G' / (|G| |G'|)``, gradients of the mean losses per token.

    GradDot without the lengths, so that a corpus that the model fits badly (long gradient) has no advantage.

    * Unit: a cosine, in [-1, 1]. Sign: positive where the corpus helps.
    * Cost, memory, needs: those of :class:`~lightning_untrac.attribution.methods.graddot.GradDot`; asked for together,
      each goes through the data by itself.
    * Source: UnTrac sec. 4.3, after Hanawa et al. 2021 (gradients' cosine as a relevance score).
    """

    method: ClassVar[str] = "gradcos"
    title: ClassVar[str] = "GradCos"
    summary: ClassVar[str] = (
        "Takes the cosine between the gradients of each corpus and of each test set, so that the length of a "
        "gradient counts for nothing."
    )
    unit: ClassVar[str] = "cosine"
    gradient_passes: ClassVar[float] = 1.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "test sets"
    other_copies: ClassVar[float] = 2.0

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        found = gradient_products(run, self.method)
        return cosines(found.products, found.corpus_norms, found.test_set_norms).numpy()
