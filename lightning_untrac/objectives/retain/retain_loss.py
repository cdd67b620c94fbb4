"""Go on training on what must stay."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.objectives.terms import RetainTerm, Seen, Term


class RetainLoss(RetainTerm):
    """The mean loss per token of retained data; with ascent on the forget set it is gradient difference.

    Liu, Liu and Stone 2022 (arXiv 2203.12817); in TOFU (arXiv 2401.06121) GradDiff. In an untouched model the retained
    loss has hardly a gradient where training has converged; it pulls back once the ascent does harm. It costs a second
    forward and backward pass a step, and its activations.

    Args:
        weight: what it is multiplied by; 0 is no retain term.
    """

    name: ClassVar[str] = "loss"

    @override
    def __call__(self, seen: Seen) -> Term:
        return seen.of("retain").loss
