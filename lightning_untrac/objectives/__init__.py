"""Unlearning objectives, one a file."""

from lightning_untrac.objectives.base import Objective
from lightning_untrac.objectives.gradient_ascent import GradientAscent

__all__ = ["GradientAscent", "Objective"]
