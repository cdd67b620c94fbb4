"""Forget towards the uniform distribution, from the other side."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import kl_from_uniform
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class MaximumEntropy(ForgetTerm):
    """ME: mean divergence KL(uniform || model) over the places of the target tokens, in nats (Yuan et al. 2024).

    :class:`~lightning_untrac.objectives.KLToUniform` is the other direction. This one also punishes every probability
    near 0, and has no upper bound.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "me"

    @override
    def __call__(self, seen: Seen) -> Term:
        return Term.of(kl_from_uniform(seen.forget.target_logits))
