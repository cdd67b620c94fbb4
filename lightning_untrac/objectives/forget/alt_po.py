"""Prefer what the model itself might have said to the answer that is to be forgotten."""

from __future__ import annotations

from typing import ClassVar

from lightning_untrac.data.config import SAMPLES
from lightning_untrac.objectives.checks import positive
from lightning_untrac.objectives.forget.dpo import DPO


class AltPO(DPO):
    """:class:`DPO` with the model's own words as the other answer of a dataset that names none (Mekala et al. 2024).

    Before the first step the model continues each prompt, at temperature 1 and without cut-offs; the first of
    ``samples`` continuations that is not the answer to be forgotten becomes the other answer, at most half as long
    again as the answer and at most 200 tokens. They are drawn by the example's text and the seed, and kept in
    checkpoints. The authors ask for changed facts by an instruction, and train on five answers a question. An
    instruction is a matter of the model: write such answers into a column (``alternative``), which then is taken.
    Where weights are sharded (FSDP2) every rank draws all answers, so that more ranks make that no faster.

    Args:
        beta: above 0; the authors try .05, .1 and .5.
        samples: continuations of each prompt; 5 is the authors'.
        weight: what it is multiplied by.

    Raises:
        ValueError: for numbers out of range.
    """

    name: ClassVar[str] = "altpo"
    alternatives_from: ClassVar[str | None] = SAMPLES

    def __init__(self, beta: float = 0.1, samples: int = 5, weight: float = 1.0) -> None:
        super().__init__(beta, weight)
        self.samples = int(positive("AltPO", "samples", samples, 5))
