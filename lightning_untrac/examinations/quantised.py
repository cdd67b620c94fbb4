"""What is measured of the models after their weights were rounded to a few bits."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, Final

from typing_extensions import override

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.beyond import BACK, KNOWN, Means, what_came_back, what_is_known
from lightning_untrac.examinations.columns import Column, Concluded, Found, Number, means_together
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.example_means import Mean, exact_mean
from lightning_untrac.functional.robustness import quantisation_robustness
from lightning_untrac.metrics import Measure
from lightning_untrac.modules import LanguageModule
from lightning_untrac.modules.adapters import adapter_folder
from lightning_untrac.modules.quantising import (
    QUANTISERS,
    linear_layers,
    missing_packages,
    quantise_layers,
    same_codes,
)
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.tables.judged import ORIGINAL

Q: Final = "quantisation_robustness"
"""``statistic``: 1 - |a - b| / (|a| + |b|) of a measure before and after."""

SAME_CODES: Final = "same_codes"
describe_measure(SAME_CODES, MeasureText("Weights whose code is the original's", cannot_tell="what the others do"))

WEIGHTS: Final = "weights"
"""``dataset`` of what is counted of weights: each linear layer is an example."""


class Quantised(Examination):
    """What is known after the weights of all linear layers were rounded to a few bits.

    Steps that are smaller than a bin vanish, so that what an unlearned model seems to have forgotten can come back.
    Every model is quantised alike, the retrained ones as the control; biases, embeddings, norms and the layer that
    gives the logits stay as they are. Adapters are merged into the weights first.

    Args:
        to: ``nf4`` (bitsandbytes, blocks of 64), ``int8`` (torchao, a scale a row), ``int4`` (torchao, groups of 32).
    """

    name = "quantised"
    title = "After quantisation"
    measure = KNOWN
    unit = ""
    direction = "higher"
    ideal = "0, as the retrained models, and no more of it than before quantisation"
    cannot_tell = "whether other roundings (GPTQ, AWQ) or fine-tuning bring it back"
    source = "Zhang et al. 2025 (arXiv 2410.16454); Q in the symmetric form of the unlearning depth score's study"
    statistics: ClassVar[tuple[str, ...]] = (Q, KNOWN, BACK)
    other_measures: ClassVar[tuple[str, ...]] = (SAME_CODES,)
    groups: ClassVar[frozenset[str]] = frozenset({"robustness", "full"})
    beside: ClassVar[tuple[str, ...]] = (ORIGINAL,)

    def __init__(self, to: Sequence[str] = ("nf4", "int8", "int4")) -> None:
        self.to = list(dict.fromkeys([to] if isinstance(to, str) else to))

    @override
    def problems(self, bench: Bench) -> list[str]:
        known = {name: QUANTISERS[name] for name in self.to if name in QUANTISERS}
        every = ", ".join(QUANTISERS)
        found = [f"to: {name!r} is unknown; give some of {every}" for name in self.to if name not in known]
        found += missing_packages(known)
        if not self.to:
            found.append(f"to: nothing is given; give some of {every}")
        if not bench.measures:
            found.append("measures: none of them says how well a text is known in one forward pass; add loss")
        narrow = _narrow(bench, self.to)
        if known and set(narrow) == set(self.to):
            found += [f"to: {why}; give some of the others" for why in narrow.values()]
        return found

    @override
    def passes(self, bench: Bench) -> float:
        return float(len(self.to) - len(_narrow(bench, self.to)))

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        # What only other models are too narrow for is read too: it is kept for when they are gone.
        narrow, found = _narrow(bench, self.to, [bench.models.original, path]), list[Column]()
        start = None if bench.role(path) == ORIGINAL else bench.build(bench.models.original)
        if start is not None:
            start.configure_model()
        for name in (one for one in self.to if one not in narrow):
            codes: list[Column] = []

            def change(module: LanguageModule, name: str = name, codes: list[Column] = codes) -> None:
                assert module.model is not None
                if start is not None and start.model is not None:
                    shares, sizes = same_codes(module.model, start.model, QUANTISERS[name])
                    codes.append(Column(SAME_CODES, WEIGHTS, shares, sizes, "", name))
                quantise_layers(module.model, QUANTISERS[name])

            arrays = bench.measure(path, change, bench.reads)
            found += [*bench.columns(arrays, name), *codes]
        return found

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        numbers, said = list[Number](), dict[str, str]()
        for path, columns in found.items():
            for codes in columns:
                if codes.measure == SAME_CODES and len(codes.values):
                    share = Mean(exact_mean(codes.values, codes.weights), math.nan, math.nan)
                    where: dict[str, Any] = {"measure": SAME_CODES, "dataset": WEIGHTS, "condition": codes.condition}
                    numbers.append(Number(path, "mean", *share, **where))
        ways = {*self.to} - {*_narrow(bench, self.to)}
        for place, measure in enumerate(bench.measures):
            for dataset in bench.reads:
                means = _means(bench, found, measure.name, dataset, ways)
                numbers += _moved(means, measure, dataset)
                if dataset == bench.forget:
                    numbers += (known := what_is_known(bench, means, measure))
                    said = said if place else what_came_back(bench, known, measure)
        return Concluded(numbers, said=said, notes=self._notes(bench))

    def _notes(self, bench: Bench) -> list[str]:
        notes = [f"{self.name}: {why}: it is left out" for why in _narrow(bench, self.to).values()]
        if any(adapter_folder(path) for path in bench.models.every):
            notes.append(f"{self.name}: adapters were merged into the weights before these were quantised")
        return notes


def _narrow(bench: Bench, to: Sequence[str], models: Sequence[str] | None = None) -> dict[str, str]:
    """Which ways do not suit one of some models, by default of all, and why."""
    found: dict[str, str] = {}
    grouped = [name for name in to if name in QUANTISERS and QUANTISERS[name].group]
    for path in (bench.models.every if models is None else models) if grouped else ():
        for layer, weight, transposed in linear_layers(bench.without_weights(path)):
            width = weight.shape[0 if transposed else 1]
            for name in grouped:
                group = QUANTISERS[name].group
                if name not in found and group and width % group:
                    found[name] = f"{name} shares a scale among {group} inputs, and {layer} of {path} has {width}"
    return found


def _means(bench: Bench, found: Found, measure: str, dataset: str, ways: Collection[str]) -> Means:
    as_it_is = bench.as_it_is(measure, dataset)
    columns = {(path, ""): as_it_is[path] for path in found}
    for path, every in found.items():
        mine = [one for one in every if (one.measure, one.dataset) == (measure, dataset) and one.condition in ways]
        columns |= {(path, one.condition): one for one in mine}
    return means_together(columns)


def _moved(means: Means, measure: Measure, dataset: str) -> Iterator[Number]:
    """Each mean after quantisation, and how little it moved."""
    least, largest = measure.bounds
    for (path, condition), mean in means.items():
        if condition:
            value, low, high = mean.mean
            where: dict[str, Any] = {"measure": measure.name, "dataset": dataset, "condition": condition}
            yield Number(path, "mean", value, max(low, least), min(high, largest), unit=measure.unit, **where)
            yield Number(path, Q, *quantisation_robustness(means[path, ""], mean).mean, **where)
