"""Flatten the logits."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.distributions import logit_margin
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class PDU(ForgetTerm):
    """``(max z - mean z)^2`` of the logits z, the mean over the places of the target tokens.

    The forget half of primal-dual unlearning, as in open-unlearning. It is 0 where all tokens are equally likely, and
    asks, like :class:`~lightning_untrac.objectives.KLToUniform`, only at which places targets are. Its other half is
    :class:`~lightning_untrac.objectives.RetainBound`.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "pdu"

    @override
    def __call__(self, seen: Seen) -> Term:
        return Term.of(logit_margin(seen.forget.target_logits))
