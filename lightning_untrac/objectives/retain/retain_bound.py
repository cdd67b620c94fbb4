"""Hold the loss on what must stay below a bound."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.objectives.checks import non_negative, positive
from lightning_untrac.objectives.terms import RetainTerm, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class RetainBound(RetainTerm):
    """The mean loss per token of retained data times a multiplier that rises while the loss is above a bound.

    The retain half of primal-dual unlearning (PDU, as in open-unlearning): after each step
    ``multiplier = max(0, multiplier + rate (loss - bound))``, with the loss of the whole effective batch over
    micro-batches and ranks. open-unlearning leaves the multiplier alone for the first 5 epochs; this does not.

    Args:
        weight: what it is multiplied by, beside the multiplier.
        bound: nats per token; by default what ``examples`` retained examples have before the first step, plus
            ``slack``.
        slack: nats per token.
        multiplier: that it begins with, at least 0; open-unlearning has 50 to 100.
        rate: of the multiplier's steps, above 0; 1 is open-unlearning's.
        examples: retained examples (or blocks) that the default bound is measured on.

    Raises:
        ValueError: for numbers out of range.
    """

    name: ClassVar[str] = "bound"
    needs_retained_examples: ClassVar[bool] = True

    def __init__(
        self,
        weight: float = 1.0,
        bound: float | None = None,
        slack: float = 0.1,
        multiplier: float = 50.0,
        rate: float = 1.0,
        examples: int = 64,
    ) -> None:
        super().__init__(weight)
        self.bound = None if bound is None else non_negative("RetainBound", "bound", bound)
        self.slack = non_negative("RetainBound", "slack", slack)
        self.multiplier = non_negative("RetainBound", "multiplier", multiplier)
        self.rate = positive("RetainBound", "rate", rate, 1.0)
        self.examples = int(positive("RetainBound", "examples", examples, 64))
        self._bound, self._now = self.bound or 0.0, self.multiplier
        self._losses: list[torch.Tensor] = []

    @override
    def prepare(self, module: Unlearns) -> None:
        self._now, self._losses = self.multiplier, []
        self._bound = self._measured(module) + self.slack if self.bound is None else self.bound

    @torch.no_grad()
    def _measured(self, module: Unlearns) -> float:
        total, count = 0.0, 0
        with module.without_dropout():
            for example in module.retained_examples(self.examples):
                if targets := int(module.num_targets(example)):
                    total, count = total + float(module.mean_loss(example)) * targets, count + targets
        return total / max(1, count)

    @override
    def __call__(self, seen: Seen) -> Term:
        loss = seen.of("retain").loss
        self._losses.append(
            torch.stack([loss.total.detach().double(), torch.as_tensor(loss.count).to(loss.total).double()])
        )
        return Term(loss.total * self._now, loss.count)

    @override
    def after_step(self, module: Unlearns) -> None:
        found, self._losses = self._losses, []
        total, count = module.sum_over_ranks(torch.stack(found).sum(0) if found else torch.zeros(2)).tolist()
        if count:
            self._now = max(0.0, self._now + self.rate * (total / count - self._bound))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"multiplier": self._now, "bound": self._bound}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._now, self._bound = float(state["multiplier"]), float(state["bound"])
