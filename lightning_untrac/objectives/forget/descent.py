"""Plain training."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term


class Descent(ForgetTerm):
    """The mean loss per token: training, for methods that go on with it (leave-out continuation).

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "descent"

    @override
    def __call__(self, seen: Seen) -> Term:
        return seen.forget.loss
