"""The loss on the straight line from the original to a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import numpy as np
import torch
from typing_extensions import override

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.barrier import loss_barrier
from lightning_untrac.metrics import find_measures
from lightning_untrac.modules import LanguageModule
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED

ON_THE_LINE: Final = "loss_on_the_line"
LOSS: Final = "loss"

describe_measure(ON_THE_LINE, MeasureText("Loss on the line", "nats/token", "lower"))


class Barrier(Examination):
    """How far an example's loss rises above the line between its losses at both ends, on the way from the original.

    ``max over a of L(theta_a) - ((1 - a) L(theta_0) + a L(theta_1))``, theta_a = (1 - a) theta_0 + a theta_1, of the
    original theta_0 and the model theta_1. It is read at a few places, so that it is a lower bound. Examples that are
    hard to unlearn are said to have a higher one. Adapters are merged into the weights first.

    Args:
        places: how many places between the two ends are read.
    """

    name = "barrier"
    title = "Loss barrier from the original"
    measure = "barrier"
    unit = "nats/token"
    ideal = "as the retrained model"
    cannot_tell = "how well a text is known; it says how far apart two models lie, and is 0 where they are close"
    source = "per-instance privacy (arXiv 2505.18786), by a summary; the form is that of linear mode connectivity"
    axis = "place on the line from the original (0) to the model (1)"
    other_measures: ClassVar[tuple[str, ...]] = (ON_THE_LINE,)
    groups: ClassVar[frozenset[str]] = frozenset({"difficulty"})
    roles: ClassVar[tuple[str, ...]] = (UNLEARNED, RETRAINED)
    needs_weights_alike = True
    beside: ClassVar[tuple[str, ...]] = (ORIGINAL,)
    measures_models = False

    def __init__(self, places: int = 3) -> None:
        self.places = places

    @override
    def problems(self, bench: Bench) -> list[str]:
        return [] if self.places >= 1 else [f"places: {self.places}; give at least 1"]

    @override
    def passes(self, bench: Bench) -> float:
        return self.places + 2.0

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        start = bench.build(bench.models.original)
        start.configure_model()
        assert start.model is not None
        ends = dict(start.model.named_parameters())

        def at(place: float) -> Callable[[LanguageModule], None]:
            @torch.no_grad()
            def move(module: LanguageModule) -> None:
                assert module.model is not None
                for name, parameter in module.model.named_parameters():
                    # Written out, so that both ends are reached to the last bit.
                    parameter.copy_(parameter * place + ends[name].to(parameter) * (1 - place))

            return move

        measures = find_measures(LOSS)
        places = np.linspace(0, 1, self.places + 2)
        found: list[Column] = []
        for place in places.tolist():
            arrays = bench.measure(path, at(place), bench.reads, measures)
            for dataset, values in arrays[f"{LOSS}/value"].items():
                weights = arrays[f"{LOSS}/weight"][dataset]
                found.append(Column(ON_THE_LINE, dataset, values, weights, self.unit, "", place))
        for dataset in bench.reads:
            here = [column for column in found if column.dataset == dataset]
            barrier = loss_barrier(np.stack([column.values for column in here]), places)
            found.append(Column(self.measure, dataset, barrier, here[0].weights, self.unit))
        return found

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        return Concluded([bench.mean(path, column) for path, columns in found.items() for column in columns])
