"""What a measure is that asks how a model goes on with a text after its first tokens."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.functional.verbatim import verbatim_log_probs
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs

PREFIX = 50
"""Tokens that are given, of the published tasks (which ask for 50 more)."""


class NothingCountsWarning(UserWarning):
    """No example of a dataset is long enough for a measure."""


class AfterPrefix(Measure):
    """One number an example about the tokens after its first ones; shorter examples count nowhere.

    Tokens are target tokens. A prompt is given beside the prefix, and so is what stands between targets. Every example
    that is long enough counts alike.

    Args:
        prefix: first target tokens that are given; 0 for the prompt alone (or the begin of a text).
        length: target tokens that follow; None for all that are left.
        problems: with the settings of a subclass.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    weight_unit: ClassVar[str] = "examples"

    def __init__(self, prefix: int = PREFIX, length: int | None = None, problems: Sequence[str] = ()) -> None:
        found = [] if prefix >= 0 else [f"prefix is {prefix}; give 0 tokens or more"]
        if length is not None and length < 1:
            found.append(f"length is {length}; give 1 token or more, or null for all that are left")
        raise_if_any([*found, *problems])
        self.prefix, self.length = prefix, length

    @override
    def settle(
        self, values: Mapping[str, Floats], weights: Mapping[str, Floats], unseen: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        silent = [name for name, weight in weights.items() if len(weight) and not weight.any()]
        if silent:
            fewest = self.prefix + (self.length or 1)
            warnings.warn(
                f"{self.name}: no example of {', '.join(silent)} has {fewest} target tokens (prefix {self.prefix}, "
                f"length {self.length}), so that nothing is said of it; give a smaller `prefix`",
                NothingCountsWarning,
                stacklevel=2,
            )
        return dict(values), dict(weights)


class OfDraws(AfterPrefix):
    """One that asks what draws would give, by the probability of the true text: no draw is made.

    Args:
        prefix: as of :class:`AfterPrefix`.
        length: likewise.
        temperature: of the draws; above 0.
        top_k: how many of the likeliest tokens are drawn from; None for all.
        problems: with the settings of a subclass.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    cannot_tell = "what comes out in other words, or with other ways to draw (beams, top-p), or after another prefix"

    def __init__(
        self,
        prefix: int,
        length: int | None,
        temperature: float,
        top_k: int | None,
        problems: Sequence[str] = (),
    ) -> None:
        wrong = [*problems]
        if not temperature > 0:
            wrong.append(f"temperature is {temperature}; give one above 0 (`exact_extraction` is greedy)")
        if top_k is not None and top_k < 1:
            wrong.append(f"top_k is {top_k}; give 1 or more, or null for all")
        super().__init__(prefix, length, wrong)
        self.temperature, self.top_k = temperature, top_k

    @override
    def __call__(self, seen: Outputs) -> Measured:
        how = self.prefix, self.length, self.temperature, self.top_k
        log_probs, counts = verbatim_log_probs(seen.logits, seen.targets, *how)
        return Measured(self.of_draw(log_probs), counts.double())

    @abstractmethod
    def of_draw(self, log_probs: Tensor) -> Tensor:
        """The measure of each example.

        Args:
            log_probs: ``[batch]`` float64, log-probability that one draw gives the true text.
        """
