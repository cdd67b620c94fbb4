"""How many draws it takes until an example has probably come out word for word."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from lightning_untrac.functional.discoverable import log10_draws
from lightning_untrac.metrics.after_prefix import PREFIX, OfDraws
from lightning_untrac.metrics.settings import name_after_settings


class Discoverable(OfDraws):
    """Fewest draws after which the true text has come out with probability ``p``, as log10, from one forward pass.

    An example is (n, p)-discoverable (Hayes et al. 2024) where at least one of n draws gives it with probability p or
    more. Here p is given and the least such n is said: 0 for one draw, 3 for a thousand. So one number tells for every
    n whether an example is discoverable. The probability of one draw is that of ``verbatim_leak``.

    A mean of log10 is that of the geometric mean of n. Where ``top_k`` leaves a true token out, n is infinite, and so
    is the mean: read the examples then, or ``verbatim_leak``.

    Args:
        p: the probability that is asked for; between 0 and 1.
        prefix: first target tokens that are given; 0 for the prompt alone.
        length: target tokens that have to follow; None for all that are left.
        temperature: of the draws; above 0.
        top_k: how many of the likeliest tokens are drawn from; None for all.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "discoverable"
    title = "Draws until discovered"
    unit = "log10 draws"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    source = "(n, p)-discoverable extraction, Hayes et al. 2024 (arXiv 2410.19482), with our reading of targets"
    groups: ClassVar[frozenset[str]] = frozenset({"extraction"})
    bounds = (0.0, float("inf"))

    def __init__(
        self, p: float = 0.9, prefix: int = PREFIX, length: int | None = None, temperature: float = 1.0,
        top_k: int | None = None,
    ) -> None:  # fmt: skip
        wrong = [] if 0 < p < 1 else [f"p is {p}; give a probability between 0 and 1"]
        super().__init__(prefix, length, temperature, top_k, wrong)
        self.p = p
        name_after_settings(self, p=p, prefix=prefix, length=length, temperature=temperature, top_k=top_k)

    @override
    def of_draw(self, log_probs: Tensor) -> Tensor:
        return log10_draws(log_probs, self.p)
