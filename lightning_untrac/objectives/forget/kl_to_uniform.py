"""Forget by knowing nothing: towards the uniform distribution."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import kl_to_uniform
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class KLToUniform(ForgetTerm):
    """Mean divergence KL(model || uniform) over the places of the target tokens, in nats: ``ln V - H(model)``.

    It is 0 where the model knows nothing and at most ``ln V``, so that nothing collapses. It asks which *predictions*
    a dataset's contexts lead to, and not whether they are right: the targets only say at which places.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "uniform"

    @override
    def __call__(self, seen: Seen) -> Term:
        return Term.of(kl_to_uniform(seen.forget.target_logits))
