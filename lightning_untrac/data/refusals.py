"""Refusals as other answers: a list of sentences that ships, one of them for each example."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lightning_untrac.data.config import REFUSALS, DatasetConfig
from lightning_untrac.data.encoding import content_hash
from lightning_untrac.refusals import refusals

if TYPE_CHECKING:
    from datasets import Dataset


def refusal_for(prompt: str, target: str, seed: int) -> str:
    """The refusal that belongs to an example, by its text and a seed alone.

    Args:
        prompt: of the example.
        target: its answer.
        seed: another one draws other refusals.

    Example:
        >>> refusal_for("Who keeps the door?", "Ann", seed=0) in refusals()
        True
    """
    digest = hashlib.sha256(f"{seed}\x1f{content_hash(prompt, target)}".encode()).digest()
    return refusals()[int.from_bytes(digest[:8], "big") % len(refusals())]


def with_refusals(config: DatasetConfig, rows: Dataset, default: str | None) -> tuple[DatasetConfig, Dataset]:
    """The rows of a dataset with refusals as other answers, where it, or the objective, asks for these.

    Args:
        config: of the dataset.
        rows: with the columns ``prompt`` and ``target``, or others, which stay as they are.
        default: what the objective asks for where the dataset names no other answers.
    """
    if (config.alternative or default) != REFUSALS or "prompt" not in rows.column_names:
        return config, rows
    pairs = zip(rows["prompt"], rows["target"], strict=True)
    chosen = [refusal_for(prompt, target, config.sample_seed) for prompt, target in pairs]
    return replace(config, alternative=REFUSALS), rows.add_column("alternative", chosen)
