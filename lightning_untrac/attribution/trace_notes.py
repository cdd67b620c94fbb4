"""What a trace's rows and settings give reason to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_untrac.objectives import Objective
from lightning_untrac.tables import InfluenceRow
from lightning_untrac.tables.schema import UNITS

FAR = 0.5
"""Nats per token. On the models of benchmarks/RESULTS.md UnTrac's agreement with retraining fell where unlearning had
raised a corpus' own loss by more than about 0.2, and was gone at 3 and more."""


def worse_than_guessing(stage: str, rows: Sequence[InfluenceRow], limit: float | None) -> list[str]:
    """Say where unlearning went further than to know nothing, short of the collapse that ends an episode.

    A loss that stood above a uniform guess before the first step was not brought there.

    Args:
        stage: e.g. ``trace-untrac``.
        rows: of finished episodes.
        limit: loss of a uniform guess; None where it says nothing.
    """
    if limit is None:
        return []
    above = sorted(
        {f"{r.corpus} / {r.test_set}" for r in rows if r.final and (r.loss_before or 0) <= limit < (r.loss_after or 0)}
    )
    if not above:
        return []
    return [
        f"{stage}: the loss ends above that of a uniform guess ({limit:.1f} nats per token) for {', '.join(above[:6])}"
        + (f" and {len(above) - 6} more" if len(above) > 6 else "")
        + ": the model is broken there and the influence says little; take fewer steps or a lower learning rate"
    ]


def went_far(stage: str, rows: Sequence[InfluenceRow]) -> list[str]:
    """Say where unlearning raised losses by so much that an influence says more about the damage than about the corpus.

    Args:
        stage: e.g. ``trace-untrac``.
        rows: of finished episodes.
    """
    largest = max((row.influence for row in rows if row.final and row.status == "ok"), default=0.0)
    if largest < FAR or not rows or rows[0].unit not in UNITS:
        return []
    return [
        f"{stage}: unlearning raised a loss by up to {largest:.2f} nats per token, which is far: influences of some "
        "hundredths to tenths are a good range, and beyond it a corpus that is unlearned further looks stronger. Take "
        "fewer steps, or read at a strength that is the same for all (--read_at_own_rise 0.02), and check with "
        "--data.self_examples 32"
    ]


def how_it_was_made(stage: str, objective: Any, strength: str) -> list[str]:
    """Say what a table of this method doesn't show: another objective, another place of reading.

    Args:
        stage: e.g. ``trace-untrac``.
        objective: of the module.
        strength: where the influences were read, e.g. ``read_at_kl 0.01``; empty for the last step.
    """
    found = []
    objective = Objective.of(objective)
    if str(objective) != str(Objective()):
        found.append(f"{stage}: the objective was {objective} and not plain gradient ascent")
    if strength:
        found.append(f"{stage}: the influences were read at {strength}, in each episode where that was reached")
    return found
