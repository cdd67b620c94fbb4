"""How large the gradient of each example of a batch is, with no step taken."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.gradients import euclidean_norm
from lightning_untrac.outputs import Outputs
from lightning_untrac.sharding import is_sharded
from lightning_untrac.strategies import WHOLE_GRADIENTS


def gradient_norms(module: Any, batch: LanguageBatch, seen: Outputs) -> Tensor:
    """Euclidean norm of the gradient of each example's mean loss per target token, over all parameters that may move.

    Each example goes through the model alone, in the mode that the module is in: in a validation without dropout. No
    parameter and no ``grad`` is touched, and no rank waits for another, so that neither the batch nor the number of
    ranks changes a value but by rounding.

    Args:
        module: a ``LanguageModule`` with its weights.
        batch: what was read.
        seen: what came of it.

    Returns:
        ``[batch]`` float64; NaN where an example has no target.

    Raises:
        ConfigurationError: if no parameter may move, weights are sharded, or the Trainer reads in inference mode.
    """
    parameters = list(module.trainable_parameters().values())
    _check(module, parameters)
    norms = seen.logits.new_full((len(seen.targets),), float("nan"), dtype=torch.float64)
    for row in seen.is_sequence.nonzero()[:, 0].tolist():
        # Autocast keeps the weights that it has cast, and those of a pass without gradients have none.
        torch.clear_autocast_cache()
        with torch.enable_grad():
            loss = module.outputs_of(_alone(batch, row)).mean_loss()
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
        norms[row] = euclidean_norm([part for part in found if part is not None])
    torch.clear_autocast_cache()
    return norms


def _alone(batch: LanguageBatch, row: int) -> LanguageBatch:
    """One row of a batch, with its padding."""
    alone = {key: value[row : row + 1] if isinstance(value, Tensor) else value for key, value in batch.items()}
    return cast("LanguageBatch", alone)


def _check(module: Any, parameters: list[torch.nn.Parameter]) -> None:
    names = ", ".join(measure.name for measure in module.measures if "gradients" in measure.needs)
    problem = None
    if not parameters:
        problem = "no parameter of the model may move; check `trainable` and `lora`"
    elif is_sharded(module.model):
        problem = WHOLE_GRADIENTS
    elif torch.is_inference_mode_enabled():
        problem = "the Trainer reads in inference mode; make it with `inference_mode=False`"
    if problem:
        raise ConfigurationError([f"measures: {names} needs gradients, and {problem}"])
