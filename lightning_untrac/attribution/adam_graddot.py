"""GradDot preconditioned by the training run's Adam second moments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lightning_untrac.attribution.gradient_products import gradient_products
from lightning_untrac.attribution.scoring import Scoring, ScoringRun
from lightning_untrac.attribution.training_record import training_folder
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules import DatasetGradients


class AdamGradDot(Scoring):
    """Score of corpus Z on test set Z': ``G^T diag(1 / (sqrt(v_hat) + eps)) G'``, with training's own ``v_hat``.

    What a step on the corpus with training's optimizer, its second moments as they were, its first moment empty, would
    raise the test set's loss by per unit of learning rate. Unlike the sign of one gradient (the first step of a fresh
    Adam) it is linear in the corpus' gradient and symmetric in the two.

    * Unit: gradient product in Adam's metric. Sign: positive where the corpus helps.
    * Cost: that of GradDot.
    * Memory: that of GradDot, and one tensor of the weights' size in main memory.
    * Needs: a checkpoint of ``untrac pretrain`` with an optimizer that keeps ``exp_avg_sq`` (Adam, AdamW, NAdam, RAdam)
      beside the model that is traced (``checkpoints/pretrain/step=*.ckpt``); weights that are not sharded.
    * Source: after Xia et al. 2024 (LESS, Adam's update as the training gradient) and Chang et al. 2024 (TrackStar,
      second-moment correction of both).
    """

    method: ClassVar[str] = "adam_graddot"
    unit: ClassVar[str] = "gradient product, Adam's metric"
    gradient_passes: ClassVar[float] = 1.0

    def scores(self, run: ScoringRun) -> np.ndarray:
        """See the base class.

        Raises:
            ConfigurationError: if there is no such checkpoint, or it has no second moments of this model's weights.
        """
        phase = run.build_module()
        path = _newest_checkpoint(training_folder(run, phase))
        state = _optimizer_state(path)
        denominators: dict[str, Tensor] = {}

        def precondition(module: DatasetGradients, gradient: dict[str, Tensor]) -> dict[str, Tensor]:
            if module.is_sharded:
                raise ConfigurationError(
                    [f"method {self.method}: needs whole weights; use --trainer.strategy auto or ddp"]
                )
            if not denominators:
                denominators.update(_denominators(state, module, path))
            if missing := gradient.keys() - denominators.keys():
                raise _wrong(path, f"has no second moments of {', '.join(sorted(missing)[:3])}")
            return {name: tensor / denominators[name] for name, tensor in gradient.items()}

        return gradient_products(run, self.method, phase, precondition).products.numpy()


def _newest_checkpoint(folder: Path) -> Path:
    checkpoints = folder / "checkpoints" / "pretrain"
    steps = {path: re.fullmatch(r"step=(\d+)\.ckpt", path.name) for path in checkpoints.glob("step=*.ckpt")}
    found = {path: int(match[1]) for path, match in steps.items() if match is not None}
    if not found:
        raise ConfigurationError(
            [
                f"method adam_graddot: needs a checkpoint of training, and there is no {checkpoints}/step=*.ckpt; run "
                "`untrac pretrain` with Adam or AdamW there, with its checkpoints on, and trace its model"
            ]
        )
    return max(found, key=lambda path: found[path])


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        [
            f"method adam_graddot: the checkpoint {path} {what}; expected one that was trained with Adam or AdamW (a "
            "single file, not sharded) on the parameters that are traced; train with those, or use graddot"
        ]
    )


def _optimizer_state(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise _wrong(path, "is sharded over several files")
    states = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("optimizer_states") or []
    if not states or not any("exp_avg_sq" in moments for moments in states[0]["state"].values()):
        raise _wrong(path, "has no second moments (exp_avg_sq)")
    return states[0]


def _denominators(state: dict[str, Any], module: DatasetGradients, path: Path) -> dict[str, Tensor]:
    """``sqrt(v_hat) + eps`` by parameter name; the optimizer numbers the parameters that it trained in their order."""
    assert module.phase.model is not None
    parameters = dict(module.phase.model.named_parameters())
    trained = [(index, group) for group in state["param_groups"] for index in group["params"]]
    names = list(parameters) if len(trained) == len(parameters) else list(module.trainable_parameters())
    if len(names) != len(trained):
        raise _wrong(path, f"is of {len(trained)} tensors where the model has {len(names)}")
    found = {}
    for name, (index, group) in zip(names, trained, strict=True):
        moments = state["state"].get(index)
        if moments is None or "exp_avg_sq" not in moments:
            continue  # never reached by a gradient
        if moments["exp_avg_sq"].shape != parameters[name].shape:
            raise _wrong(path, f"has moments of the shape {tuple(moments['exp_avg_sq'].shape)} for {name}")
        correction = 1 - group["betas"][1] ** float(moments["step"])
        found[name] = (moments["exp_avg_sq"].float() / correction).sqrt() + group["eps"]
    return found
