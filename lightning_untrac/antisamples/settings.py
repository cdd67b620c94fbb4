"""How the loop goes, and how much of everything it may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lightning_untrac.antisamples.prompts import Prompts


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the loop.

    Attributes:
        rounds: most rounds.
        passes: over the anti-samples of a round.
        samples: draws of each question beside the greedy answer, all of which have to miss.
        temperature: of these draws, and of texts that are written again.
        tries: of an anti-sample, in each round.
        rewordings: of each fact, in each round.
        most_questions: of each fact; from so many on none is added.
        wrong_per_fact: wrong answers of a fact, in turn over its questions; 1 contradicts itself least.
        retained_probes: questions of each retained dataset that are asked every round, drawn once by the seed.
        patience: rounds in a row without a question that is still answered before it ends, and without an
            anti-sample before it gives up.
        longest: most tokens of an answer or of a text.
        generations: texts that may be generated in all, but for wrong answers that are asked for; None for no bound.
        tokens: tokens likewise; looked at between batches, so that the last one may go beyond it.
        seed: of all draws; None for that of the run.
        prompts: the instructions.
    """

    rounds: int = 12
    passes: int = 4
    samples: int = 0
    temperature: float = 0.7
    tries: int = 4
    rewordings: int = 4
    most_questions: int = 50
    wrong_per_fact: int = 1
    retained_probes: int = 64
    patience: int = 2
    longest: int = 48
    generations: int | None = None
    tokens: int | None = None
    seed: int | None = None
    prompts: Prompts = field(default_factory=Prompts)

    def problems(self) -> list[str]:
        """What is wrong with them, a sentence each."""
        found = []
        least: dict[str, float] = {"rounds": 1, "passes": 1, "samples": 0, "tries": 1, "rewordings": 0,
                                   "most_questions": 1, "wrong_per_fact": 1, "retained_probes": 0, "patience": 1,
                                   "longest": 2, "generations": 1, "tokens": 1}  # fmt: skip
        for name, lowest in least.items():
            value: Any = getattr(self, name)
            if value is not None and value < lowest:
                found.append(f"method.{name}: {value} is too small; give at least {lowest}")
        if not self.temperature > 0:
            found.append(f"method.temperature: {self.temperature}; give a number above 0, such as 0.7")
        return found + self.prompts.problems()
