"""Chance that one of several draws gives an example word for word."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.verbatim import chance_within
from lightning_untrac.metrics.after_prefix import PREFIX, OfDraws
from lightning_untrac.metrics.settings import name_after_settings


class VerbatimLeak(OfDraws):
    """Chance that at least one of ``n`` draws goes on with the true text: ``1 - (1 - p)^n``, from one forward pass.

    The probability p of one draw is the product of the probabilities of the true tokens, as the model draws them, so
    that no draw is needed and nothing is estimated. Paraphrases need draws and a judge: ``leak_at_k``.

    Args:
        n: draws that someone takes.
        prefix: first target tokens that are given; 0 for the prompt alone.
        length: target tokens that have to follow; None for all that are left.
        temperature: of the draws; above 0.
        top_k: how many of the likeliest tokens are drawn from; None for all.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "verbatim_leak"
    title = "Verbatim leakage"
    unit = "chance"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; near 0 for text that nobody could guess"
    source = "1 - (1 - p)^n, as in Hayes et al. 2024 (arXiv 2410.19482), with our reading of targets"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "extraction"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(
        self, n: int = 100, prefix: int = PREFIX, length: int | None = None, temperature: float = 1.0,
        top_k: int | None = None,
    ) -> None:  # fmt: skip
        wrong = [] if n >= 1 else [f"n is {n}; give 1 draw or more"]
        super().__init__(prefix, length, temperature, top_k, wrong)
        self.n = n
        name_after_settings(self, n=n, prefix=prefix, length=length, temperature=temperature, top_k=top_k)

    @override
    def of_draw(self, log_probs: Tensor) -> Tensor:
        return chance_within(log_probs, self.n)
