"""Forget so that it lasts: the forget term's gradient is taken where the term is worst nearby."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.retention import uphill
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.rectify.base import Rectifier


class SAM(Rectifier):
    """Sharpness-aware unlearning: the forget term's gradient at ``theta + rho g/||g||``, the retain terms' at theta.

    Fan et al. 2025 (a defence against relearning), as in the authors' code (OPTML-Group/Unlearn-Smooth). g is the
    forget term's gradient of the whole effective batch at theta, the norm is over all trainable parameters. The step
    takes the sum of both gradients. It goes with any forget term, also without a retain term.

    It costs a second forward and backward pass over the forget set (and over the other answers, where the term reads
    some), and two more gradients and a copy of the weights on the device; where weights are sharded (FSDP2), each rank
    holds its part of those. ``precision: 16-mixed`` is refused: gradients are needed apart, and unscaled.

    Args:
        rho: length of the way, above 0; .01 is the authors'.

    Raises:
        ValueError: for a rho that is not above 0.
    """

    needs_retain: ClassVar[bool] = False
    needs_whole_weights: ClassVar[bool] = False

    def __init__(self, rho: float = 0.01) -> None:
        self.rho = positive("SAM", "rho", rho, 0.01)

    @override
    def displacement(self, forget: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return uphill(forget, self.rho, self.sum_over_shards)

    @override
    def __call__(self, forget: Mapping[str, Tensor], retain: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: gradient + retain[name] for name, gradient in forget.items()}
