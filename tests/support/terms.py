"""Terms that the tests give by class path."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from lightning_untrac.objectives import ForgetTerm, RetainTerm, Term


class SequenceTerm(ForgetTerm):
    """Negative preference optimisation: a mean over sequences that needs their log-probabilities before unlearning."""

    unit = "sequence"
    needs = frozenset({"reference_log_probs"})

    def __init__(self, beta: float = 0.1, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.beta = beta

    def __call__(self, seen: Any) -> Term:
        ratio = seen.forget.log_probs - seen.forget.reference_log_probs
        counts = seen.forget.is_sequence
        return Term(-(2 / self.beta) * F.logsigmoid(-self.beta * ratio)[counts].sum(), counts.sum())


class HiddenStates(RetainTerm):
    """Mean squared distance of the last hidden states from those before unlearning, over supervised tokens."""

    needs = frozenset({"hidden_states", "reference_hidden_states"})

    def __call__(self, seen: Any) -> Term:
        now, before = seen.retain.hidden_states[-1], seen.retain.reference_hidden_states[-1]
        counts = seen.retain.targets != -100
        return Term((now - before)[counts].square().mean(-1).sum(), counts.sum())
