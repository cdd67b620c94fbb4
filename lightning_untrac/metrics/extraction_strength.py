"""Extraction strength of each example."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.functional.memorisation import extraction_strength
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import Outputs


class ExtractionStrength(Measure):
    """Share of a text that greedy decoding writes by itself once the rest is given, in one forward pass.

    Published: ``ES(x) = 1 - k / T``, where k is the fewest first tokens of a text of T after which every later one is
    the model's first choice, given the true tokens before it. It is 0 where the last token is missed and 1 where the
    model writes the text from nothing. Common code gives 1 / T for a miss of the last token and leaves out the last
    token as an end of text; neither is done here.

    Our reading, as in :class:`~lightning_untrac.metrics.memorisation_accuracy.MemorisationAccuracy`: T counts target
    tokens and no others, and a dataset's mean weights an example by them. ``example_mean`` is the published plain mean.
    """

    name = "extraction_strength"
    title = "Extraction strength"
    unit = "share of tokens"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model"
    cannot_tell = (
        "what comes out by sampling, in other words or after another prompt; one miss near the end hides all before it"
    )
    source = "Carlini et al. 2021 (arXiv 2012.07805); Wang et al. 2025 (arXiv 2406.09179), with our reading of targets"
    groups: ClassVar[frozenset[str]] = frozenset({"quick", "extraction"})
    bounds = (0.0, 1.0)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        return Measured(*extraction_strength(seen.hits, seen.targets))
