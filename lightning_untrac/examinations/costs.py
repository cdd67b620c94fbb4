"""What measuring and examining models takes, in forward passes over everything that is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.neighbours import COUNT
from lightning_untrac.metrics import Measure
from lightning_untrac.naming import counted

SHARED: Final = "shared forward pass"

BACKWARD: Final = 3.0
"""Forward passes that a forward and a backward pass are worth."""

WRONG_ANSWERS: Final = 5.0
"""Wrong answers to a question, as TOFU has them."""


class Cost(NamedTuple):
    """What one thing takes of one model.

    Attributes:
        what: it is.
        passes: forward passes over everything that is evaluated.
        at_most: whether it may take much less, as what a model knows need not be generated.
        steps: in which text is written, a token of each text of a batch.
    """

    what: str
    passes: float
    at_most: bool = False
    steps: float = 0.0

    def __str__(self) -> str:
        """As a command says it."""
        written = f" and {counted(round(self.steps), 'written token')} of a batch" if self.steps else ""
        return f"{self.what} {'at most ' if self.at_most else ''}{self.passes:.2g}{written}"


def costs_of(bench: Bench, measures: Sequence[Measure], examinations: Sequence[Examination]) -> list[Cost]:
    """What measures and examinations take of each model; what several measures share is counted once.

    Args:
        bench: with prepared data.
        measures: that are asked for.
        examinations: likewise.
    """
    data = bench.stage.data.evaluation_data()
    lengths = np.asarray(data.lengths(), dtype=np.float64)
    at_once = bench.stage.data.eval_batch_size
    found = [Cost(SHARED, 1.0)]
    for decoding in dict.fromkeys(one.decoding for one in measures if one.decoding is not None):
        asked = [one.name for one in measures if one.decoding == decoding]
        steps = math.ceil(len(lengths) / at_once) * decoding.num_answers * decoding.longest
        found.append(Cost(", ".join(asked), float(decoding.num_answers), True, steps))
    tokens, rests = max(1.0, float(lengths.sum())), float((lengths**2).sum()) / 2
    of_needs = {
        "neighbours": Cost("neighbourhood", COUNT),
        "gradients": Cost("gradients", BACKWARD),
        # Each beginning of a text is read and the rest is written, where nothing is known by heart.
        "continuations": Cost("continuations", rests / tokens, True, math.ceil(rests / at_once)),
        "wrong_answers": Cost("wrong answers", WRONG_ANSWERS, True),
        "reference_log_probs": Cost("another model's losses", 1.0),
    }
    needs = {str(need) for one in measures for need in one.needs}
    found += [cost for need, cost in of_needs.items() if need in needs]
    others = dict.fromkeys(one.reference_model for one in measures if one.reference_model is not None)
    found += [Cost(f"losses under {model}", 1.0) for model in others]
    return [*found, *(Cost(one.name, one.passes(bench), steps=one.written_tokens(bench)) for one in examinations)]


def costs_sentence(bench: Bench, measures: Sequence[Measure], costs: Sequence[Cost], neighbours: int = 0) -> str:
    """What a judgement or an evaluation takes, before it begins.

    Args:
        bench: with prepared data.
        measures: that are asked for.
        costs: of :func:`costs_of`.
        neighbours: of each sequence of a forget set, an attack that a judgement reads by itself.
    """
    data = bench.stage.data.evaluation_data()
    texts, tokens = len(data), int(data.lengths().sum())
    models = len(bench.models.every)
    said = (
        f"{counted(models, 'model')}, {counted(texts, 'text')} ({tokens:,} tokens): a forward pass of each for "
        f"{counted(len(measures), 'measure')}"
    )
    if models > 2:
        pairs = sum(1 for _ in bench.models.pairs())
        said += f", {pairs} passes of two models for distances"
    beside = [str(cost) for cost in costs if cost.what != SHARED]
    beside += [f"neighbours {neighbours} (of the forget set and its twins)"] if neighbours else []
    return said + (f"; beside that, in passes of each model: {', '.join(beside)}" if beside else "")
