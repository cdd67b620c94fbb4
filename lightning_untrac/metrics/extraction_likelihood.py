"""Extraction likelihood of each example."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.extraction_likelihood import (
    extraction_likelihood,
    greedy_continuations,
    runs_of_targets,
)
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import MeasureNeed, Outputs


class ExtractionLikelihood(Measure):
    """Share of n-grams of greedy continuations that stand in the true rest, the mean over all beginnings of a text.

    Published (Jang et al. 2022): ``EL_n(x) = 1/(T-n) * sum over t = 1 .. T-n of OVERLAP_n(f(x_<t), x_>=t)``, f the
    greedy continuation and ``OVERLAP_n`` the share of its n-grams that the true rest has too. Their code generates from
    every beginning. Here a beginning whose next token is the model's first choice needs none: its continuation is that
    token and the continuation of the next beginning. So ``(1 - MA) T`` generations give the same number, MA being
    :class:`~lightning_untrac.metrics.memorisation_accuracy.MemorisationAccuracy`.

    Our reading, where it goes beyond that: target tokens count and no others, and in a conversation each answer is a
    text of its own, with all before it given. A continuation is as long as the true rest, through tokens that end a
    text; then the paper and its code (which divides by the n-grams of the rest) agree. A dataset's mean weights an
    example by its beginnings; ``example_mean`` is the published plain mean.

    Args:
        n: tokens of an n-gram.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "extraction_likelihood"
    title = "Extraction likelihood"
    unit = "share of n-grams"
    weight_unit = "beginnings"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; published thresholds take the mean over unseen texts"
    cannot_tell = "what comes out by sampling, or in other words; n-grams that any text has count as extracted"
    source = "EL_n, Jang et al. 2022 (arXiv 2210.01504), with our reading of targets and ends"
    groups: ClassVar[frozenset[str]] = frozenset({"full", "extraction"})
    bounds = (0.0, 1.0)
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"continuations"})

    def __init__(self, n: int = 10) -> None:
        raise_if_any([] if n >= 1 else [f"n is {n}; give 1 token or more"])
        self.n = n
        name_after_settings(self, n=n)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        found = [self._of_row(seen, row) for row in range(len(seen.targets))]
        totals, counts = torch.tensor(found, dtype=torch.float64, device=seen.targets.device).reshape(-1, 2).unbind(1)
        return Measured(totals / counts, counts)

    def _of_row(self, seen: Outputs, row: int) -> tuple[float, int]:
        total, count, targets = 0.0, 0, seen.targets[row].cpu()
        for begin, end in runs_of_targets(targets):
            text = targets[begin:end].tolist()
            after = {place - begin: ids for place, ids in seen.continued[row].items() if begin <= place < end}
            shares, beginnings = extraction_likelihood(text, greedy_continuations(text, after), self.n)
            total, count = total + shares, count + beginnings
        return total, count
