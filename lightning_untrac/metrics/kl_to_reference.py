"""How far the predictions for each example have moved from those of the model before unlearning."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.functional.retention import token_divergences
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Need, Outputs


class KLToReference(Measure):
    """``KL(reference || model)``, the mean over a text's target tokens, in nats per token.

    The reference is the model before unlearning. Its whole predictions are compared and not only what they give the
    true token, at the places of target tokens and no others. It is what the retain term ``RetainKL`` holds down (TOFU),
    measured example by example. A mean of a dataset weights an example by its target tokens.

    It takes a second forward pass a reading, and what the reference costs
    (:mod:`lightning_untrac.modules.reference`).
    """

    name = "kl_to_reference"
    title = "KL to the model before"
    unit = "nats/token"
    ideal = "0 on what is to stay; on the forget set that of the retrained model"
    cannot_tell = "whether a prediction has become better or worse, and what has changed outside of these texts"
    source = "Maini et al. 2024 (TOFU, arXiv 2401.06121), whose retain term it is"
    bounds = (0.0, float("inf"))
    needs: ClassVar[frozenset[Need]] = frozenset({"reference_logits"})

    @override
    def __call__(self, seen: Outputs) -> Measured:
        return Measured(*seen.example_means(token_divergences(seen.reference_target_logits, seen.target_logits)))
