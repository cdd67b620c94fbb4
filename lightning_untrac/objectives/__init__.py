"""Unlearning objectives, one a file."""

from lightning_untrac.objectives.ascent_with_kl import AscentWithKL
from lightning_untrac.objectives.ascent_with_retain_loss import AscentWithRetainLoss
from lightning_untrac.objectives.base import Objective
from lightning_untrac.objectives.clamped_ascent import ClampedAscent
from lightning_untrac.objectives.descent import Descent
from lightning_untrac.objectives.fisher_anchored_ascent import FisherAnchoredAscent
from lightning_untrac.objectives.gradient_ascent import GradientAscent
from lightning_untrac.objectives.kl_to_uniform import KLToUniform

__all__ = [
    "AscentWithKL",
    "AscentWithRetainLoss",
    "ClampedAscent",
    "Descent",
    "FisherAnchoredAscent",
    "GradientAscent",
    "KLToUniform",
    "Objective",
]
