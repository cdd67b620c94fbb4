"""Whether each example comes out word for word, greedily, once its beginning is given."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.exact_extraction import exact_extraction
from lightning_untrac.metrics.after_prefix import PREFIX, AfterPrefix
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import Outputs


class ExactExtraction(AfterPrefix):
    """1 where greedy decoding goes on with the true text after ``prefix`` tokens, 0 where one token differs.

    Published as discoverable extraction (Carlini et al. 2023): 50 tokens are given and 50 have to follow (``length:
    50``). It is read from one forward pass, because greedy decoding writes the true text exactly where each of its
    tokens is the model's first choice after the true ones before it. The mean is the share of examples that come out.

    Our reading, as in :class:`~lightning_untrac.metrics.memorisation_accuracy.MemorisationAccuracy`: target tokens
    count and no others, so that a prompt is given beside the prefix.

    Args:
        prefix: first target tokens that are given; 0 for the prompt alone.
        length: target tokens that have to follow; None for all that are left.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "exact_extraction"
    title = "Exact extraction"
    unit = "share of examples"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; 0 for text that nobody could guess"
    cannot_tell = "what is one token short of it, what comes out by sampling, and what another prefix brings out"
    source = "Carlini et al. 2023 (arXiv 2202.07646), with our reading of targets"
    groups: ClassVar[frozenset[str]] = frozenset({"standard", "extraction"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(self, prefix: int = PREFIX, length: int | None = None) -> None:
        super().__init__(prefix, length)
        name_after_settings(self, prefix=prefix, length=length)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        extracted, counts = exact_extraction(seen.hits, seen.targets, self.prefix, self.length)
        return Measured(extracted, counts.double())
