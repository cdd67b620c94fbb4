"""GradDot that knows the corpora's shares: what leaving a corpus out changes, to first order."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.shares import comparable_shares
from lightning_untrac.functional.gradients import centred_products


class CentredGradDot(Scoring):
    r"""Score of corpus k on test set Z': ``p_k / (1 - p_k) * (g_k - g_mix) . g'``. Derived here.

    The derivation is this project's own. Training minimises ``L_mix = sum_j p_j L_j``, with ``p_j`` the corpora's
    shares of the training tokens. Retraining without corpus k, for as many steps, gives the others its share, in
    proportion::

        L_-k = sum_{j != k} p_j / (1 - p_k) L_j = (L_mix - p_k L_k) / (1 - p_k)

    so that the gradient which every step follows changes by::

        g_-k - g_mix = (g_mix - p_k g_k) / (1 - p_k) - g_mix = -p_k / (1 - p_k) * (g_k - g_mix)

    A step of descent of size ``lr`` then ends ``lr * p_k / (1 - p_k) * (g_k - g_mix)`` from where it would have ended,
    and the test set's loss differs by ``g'`` times that: the score, per unit of ``lr``, positive where the loss of the
    test set rises without the corpus. GradDot leaves out that the others gain (``g_mix``) and that a large corpus
    leaves more behind (``p / (1 - p)``). At a minimum of ``L_mix``, ``g_mix`` is 0 and only the weight remains.

    There is no such GradCos: the lengths carry the weights here, and dividing by them takes ``p / (1 - p)`` out again.

    * Unit: that of GradDot. Sign: positive where the corpus helps; some are always negative, since shares are a
      zero-sum game: weighted by ``1 - p_k``, the scores on a test set add up to 0. So the sign of one score says only
      on which side of the mixture a corpus is.
    * Cost, memory: those of GradDot.
    * Needs: two corpora or more, and that the configured corpora (and ``share``) are what the model was trained on.
    * Source: our derivation, as above; the first-order argument is that of GradDot.
    """

    method: ClassVar[str] = "centred_graddot"
    title: ClassVar[str] = "Centred GradDot"
    summary: ClassVar[str] = (
        "Multiplies the gradient of each test set with how a corpus's gradient differs from that of the "
        "whole mixture, weighted by the corpus's share: to first order, what leaving it out would do."
    )
    signed: ClassVar[bool] = False
    unit: ClassVar[str] = "gradient product"
    gradient_passes: ClassVar[float] = 1.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "test sets"
    other_copies: ClassVar[float] = 2.0

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class."""
        shares = comparable_shares(run.data, self.method)
        return centred_products(gradient_products(run, self.method).products, shares).numpy()
