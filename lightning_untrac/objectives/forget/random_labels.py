"""Train on labels that are wrong."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from lightning_untrac.functional.relabelling import other_labels, place_keys
from lightning_untrac.functional.token_losses import token_losses
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term
from lightning_untrac.objectives.unlearns import Unlearns


class RandomLabels(ForgetTerm):
    """Cross entropy towards another label than the right one, the mean over targets, nats.

    Random labelling (Golatkar et al. 2020, arXiv 1911.04933, and many since). Each target's label is drawn once,
    uniformly from the other classes (of a language model, from the other tokens), by the seed of the episode and the
    example: it stays the same in every pass, on every rank and however the data are cut. At its least, 0, the model is
    sure of what is wrong, which is another thing than not knowing.

    Args:
        weight: what it is multiplied by.
    """

    name: ClassVar[str] = "random_labels"

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self._seed = 0

    @override
    def prepare(self, module: Unlearns) -> None:
        self._seed = module.episode_seed

    @override
    def __call__(self, seen: Seen) -> Term:
        outputs = seen.forget
        keys = place_keys(outputs.batch["example_index"], outputs.places, self._seed)
        labels = other_labels(outputs.target_ids, keys, outputs.logits.shape[-1])
        return Term.of(token_losses(outputs.target_logits, labels))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seed = int(state["seed"])
