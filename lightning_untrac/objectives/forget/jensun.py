"""Answer everything with a few refusing words, by a bounded divergence."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from typing_extensions import override

from lightning_untrac.functional.distributions import jensen_shannon_to_token
from lightning_untrac.functional.token_losses import token_losses
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class JensUn(ForgetTerm):
    """Jensen-Shannon divergence from a refusal that takes the answer's place, the mean over target tokens, nats.

    JensUn (Jensen-Shannon unlearning). Each place of an answer aims at one token: those of the refusal in turn, again
    and again over the whole answer. At most ``ln 2``, so that nothing collapses. Beside it the authors have
    :class:`~lightning_untrac.objectives.RetainJSD` with a weight of 1.

    Args:
        refusal: the words; the authors' by default.
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "jensun"

    def __init__(self, refusal: str = " No idea", weight: float = 1.0) -> None:
        super().__init__(weight)
        self.refusal = refusal
        self._tokens: list[int] = []

    @override
    def problems(self, module: Unlearns) -> list[str]:
        if self._of(module):
            return []
        return [
            f"model.unlearning_objective: JensUn(refusal={self.refusal!r}) makes no token; give words, e.g. ' No idea'"
        ]

    @override
    def prepare(self, module: Unlearns) -> None:
        self._tokens = self._of(module)

    def _of(self, module: Unlearns) -> list[int]:
        return list(module.tokenizer(self.refusal, add_special_tokens=False)["input_ids"])

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        order = (outputs.places.cumsum(dim=1) - 1)[outputs.places]
        tokens = torch.tensor(self._tokens, device=order.device)
        return Term.of(jensen_shannon_to_token(token_losses(outputs.target_logits, tokens[order % len(tokens)])))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"tokens": self._tokens}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._tokens = list(state["tokens"])
