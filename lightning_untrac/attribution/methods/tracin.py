"""TracIn: gradient products over models kept during training, weighted by the learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.training_record import training_folder
from lightning_untrac.callbacks.keep_models import kept_models
from lightning_untrac.errors import raise_if_any
from lightning_untrac.tables.checksums import damaged_files


class TracIn(Scoring):
    """Score of corpus k on test set Z': ``sum over kept models t of lr_t * g_k(theta_t) . g'(theta_t)``.

    How much the steps on the corpus have lowered the test set's loss, to first order, had training made one full-batch
    step of plain descent with the learning rate of that time from each kept model (TracInCP). The trained model itself
    counts only if it was kept as well.

    * Unit: nats/token, in steps of plain descent; only ratios mean anything after training with another optimizer.
      Sign: positive where the corpus helps.
    * Cost: that of GradDot for each kept model.
    * Memory: that of GradDot; on disk a model for each kept step.
    * Needs: models kept by ``untrac pretrain --keep_models_at``, beside the model that is traced.
    * Source: Pruthi et al. 2020, eq. 4; UnTrac eq. 7.
    """

    method: ClassVar[str] = "tracin"
    title: ClassVar[str] = "TracIn"
    summary: ClassVar[str] = (
        "Adds up the products of the gradients of each corpus and of each test set over models that were "
        "kept during training, weighted by the learning rates of the time."
    )
    unit: ClassVar[str] = "gradient product x learning rate"
    gradient_passes: ClassVar[float] = 5.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "test sets"
    other_copies: ClassVar[float] = 2.0

    @override
    def problems(self, training: Path | None = None) -> list[str]:
        found = super().problems(training)
        if training is None:
            return found
        kept = kept_models(training / "models")
        if not kept:
            found.append(
                f"method {self.method}: needs models kept during training, and {training / 'models'} has none; train "
                "with `untrac pretrain --keep_models_at [100,200,...]` (in optimizer steps; in a folder that holds a "
                "trained model add --overwrite), then trace again"
            )
        damaged = [f"{one.folder}: {damage}" for one in kept for damage in damaged_files(one.folder)]
        return found + [f"method {self.method}: {one}; train again, or delete it" for one in damaged]

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class.

        Raises:
            ConfigurationError: if no model was kept, or one is damaged.
        """
        training = training_folder(run.build_module().name_or_path, run.folder)
        raise_if_any(self.problems(training))
        total = np.zeros((len(run.data.corpus_names), len(run.data.test_set_names)))
        for kept in kept_models(training / "models"):
            phase = run.build_module()
            phase.name_or_path = str(kept.folder)
            found = gradient_products(run, f"{self.method}, step {kept.step}", phase)
            total += kept.learning_rate * found.products.numpy()
        return total
