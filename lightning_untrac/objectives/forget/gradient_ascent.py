"""Gradient ascent."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class GradientAscent(ForgetTerm):
    """Minus the mean loss per token: UnTrac's objective (eq. 3), and the simplest way to forget.

    It has no lower bound: see :class:`~lightning_untrac.callbacks.CollapseGuard`.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "ga"

    @override
    def __call__(self, seen: Seen) -> Term:
        loss = seen.forget.loss
        return Term(-loss.total, loss.count)
