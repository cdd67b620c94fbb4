"""GradDot preconditioned by the training run's Adam second moments."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor
from typing_extensions import override

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.gradients import DatasetGradients
from lightning_untrac.attribution.preconditioned import EXPECTED, SecondMoments
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.training_record import training_folder
from lightning_untrac.errors import ConfigurationError, raise_if_any


class AdamGradDot(Scoring):
    """Score of corpus Z on test set Z': ``G^T diag(1 / (sqrt(v_hat) + eps)) G'``, with training's own ``v_hat``.

    What a step on the corpus with training's optimizer, its second moments as they were, its first moment empty, would
    raise the test set's loss by per unit of learning rate. Unlike the sign of one gradient (the first step of a fresh
    Adam) it is linear in the corpus' gradient and symmetric in the two. UnTrac with one full-batch step of
    :class:`~lightning_untrac.attribution.preconditioned.FrozenAdam` tends to it.

    * Unit: gradient product in Adam's metric. Sign: positive where the corpus helps.
    * Cost: that of GradDot.
    * Memory: that of GradDot, and one tensor of the weights' size in main memory.
    * Needs: a checkpoint of ``untrac pretrain`` with an optimizer that keeps ``exp_avg_sq`` (Adam, AdamW, NAdam, RAdam)
      beside the model that is traced (``checkpoints/pretrain/step=*.ckpt``); weights that are not sharded.
    * Source: after Xia et al. 2024 (LESS, Adam's update as the training gradient) and Chang et al. 2024 (TrackStar,
      second-moment correction of both).
    """

    method: ClassVar[str] = "adam_graddot"
    title: ClassVar[str] = "Adam GradDot"
    summary: ClassVar[str] = (
        "Multiplies the gradients of each corpus and of each test set in the metric of the training run's "
        "own Adam optimizer."
    )
    unit: ClassVar[str] = "gradient product, Adam's metric"
    gradient_passes: ClassVar[float] = 1.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "test sets"
    other_copies: ClassVar[float] = 3.0

    @override
    def problems(self, training: Path | None = None) -> list[str]:
        found = super().problems(training)
        if training is not None:
            try:
                SecondMoments(training)
            except ValueError as error:
                found.append(_problem(error))
        return found

    @override
    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class.

        Raises:
            ConfigurationError: if there is no such checkpoint, or it has no second moments of this model's weights.
        """
        phase = run.build_module()
        training = training_folder(phase.name_or_path, run.folder)
        raise_if_any(self.problems(training))
        moments = SecondMoments(training)
        denominators: dict[str, Tensor] = {}

        def precondition(module: DatasetGradients, gradient: dict[str, Tensor]) -> dict[str, Tensor]:
            if module.is_sharded:
                raise ConfigurationError(
                    [f"method {self.method}: needs whole weights; use --trainer.strategy auto or ddp"]
                )
            if not denominators:
                denominators.update(_denominators(moments, module))
            if missing := gradient.keys() - denominators.keys():
                lacking = ValueError(
                    f"the checkpoint {moments.path} has no second moments of {', '.join(sorted(missing)[:3])}; "
                    + EXPECTED
                )
                raise ConfigurationError([_problem(lacking)])
            return {name: tensor / denominators[name] for name, tensor in gradient.items()}

        return gradient_products(run, self.method, phase, precondition).products.numpy()


def _problem(error: ValueError) -> str:
    return f"method {AdamGradDot.method}: {error}; or use graddot"


def _denominators(moments: SecondMoments, module: DatasetGradients) -> dict[str, Tensor]:
    """By parameter name; of all parameters where all were trained, however few are traced."""
    assert module.phase.model is not None
    everything = dict(module.phase.model.named_parameters())
    try:
        return moments.denominators(everything if len(moments) == len(everything) else module.trainable_parameters())
    except ValueError as error:
        raise ConfigurationError([_problem(error)]) from error
