"""Forget by knowing nothing: towards the uniform distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.objectives.base import MeasuresLoss, Objective

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class KLToUniform(Objective):
    """Mean divergence KL(model || uniform) over the places of the target tokens, in nats: ``ln V - H(model)``.

    It is 0 where the model knows nothing and at most ``ln V``, so that nothing collapses. It asks which *predictions*
    a dataset's contexts lead to, and not whether they are right: the targets only say at which places.
    """

    @override
    def __call__(self, module: MeasuresLoss, batch: LanguageBatch) -> Tensor:
        logits, targets = module.forward(batch)
        counts = targets != IGNORE_INDEX
        precise = logits[counts].to(torch.promote_types(logits.dtype, torch.float32))
        log_probabilities = precise.log_softmax(-1)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(-1)
        return math.log(logits.shape[-1]) - entropy.mean()
