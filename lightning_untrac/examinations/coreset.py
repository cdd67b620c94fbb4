"""Whether a few percent of the forget set unlearn as well as all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found, Number, means_together
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.resampled import Resampled
from lightning_untrac.metrics import Measure
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.style import format_number, unit_title
from lightning_untrac.runs.coreset import unlearning_config, whole_of

TO_WHOLE: Final = "difference_to_whole"
"""``statistic``: a measure's mean less that of the model that unlearned with all of the forget set."""


class Coreset(Examination):
    """Whether a model that unlearned with a random part of the forget set is like one that unlearned with all of it.

    If a few percent do as well, a benchmark measures little of how a method goes about the rest. It compares models of
    ``unlearn --forget_share`` with the one of the same settings without; no model is run.
    """

    name = "coreset"
    title = "With a part of the forget set"
    measure = TO_WHOLE
    ideal = "not 0: what is not stepped on is forgotten less"
    cannot_tell = "whether another part of the same size does as well"
    source = "Pal et al. 2025, by a summary"
    statistics: ClassVar[tuple[str, ...]] = (TO_WHOLE,)
    groups: ClassVar[frozenset[str]] = frozenset({"robustness", "full"})
    roles: ClassVar[tuple[str, ...]] = ()

    @override
    def passes(self, bench: Bench) -> float:
        return 0.0

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        return []

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        numbers, said = list[Number](), dict[str, str]()
        for path, (whole, share) in _pairs(bench).items():
            for place, measure in enumerate(bench.measures):
                for dataset in bench.reads:
                    means = means_together(bench.as_it_is(measure.name, dataset))
                    apart = means[path].minus(means[whole])
                    where: dict[str, Any] = {"measure": measure.name, "dataset": dataset, "unit": measure.unit}
                    numbers.append(Number(path, TO_WHOLE, *apart.mean, **where))
                    if dataset == bench.forget and not place:
                        said[path] = _sentence(
                            (bench.models.original, whole, path), means, measure, bench.forget, share
                        )
        return Concluded(numbers, said=said)


def _pairs(bench: Bench) -> dict[str, tuple[str, float]]:
    """Models that unlearned with a part, and beside each the one that did so with all, and which part that was."""
    folder = bench.stage.folder.path
    configs = {path: unlearning_config(folder, path) for path in bench.models.unlearned}
    known = {path: config for path, config in configs.items() if config is not None}
    found = {}
    for path, config in known.items():
        share = config.get("forget_share")
        if share is not None and (whole := whole_of(config, known)) is not None:
            found[path] = (whole, float(share))
    return found


def _sentence(
    models: tuple[str, str, str], means: Mapping[str, Resampled], measure: Measure, forget: str, share: float
) -> str:
    """Whether a part did as well as the whole, as far as the intervals tell.

    Args:
        models: paths of the original, of the one of the whole and of the one of the part.
        means: of the forget set, on the same resamples.
        measure: that they are of.
        forget: the forget set.
        share: the part.
    """
    original, whole, part = (means[path] for path in models)
    moved, apart = whole.minus(original), part.minus(whole)
    unit, title = unit_title(measure.unit), measure_text(measure.name).title
    levels = [format_number(one.value, signed=False) for one in (original, whole, part)]
    value, low, high = (format_number(number) for number in apart.mean)
    numbers = (
        f"{title}: original {levels[0]}, {Path(models[1]).name} {levels[1]}, {Path(models[2]).name} {levels[2]}; the "
        f"difference is {value} {unit}".rstrip()
        + f", {low} to {high}"
    )
    some = f"{100 * share:g} % of {forget}"
    if not _told(moved):
        return (
            f"All of {forget} unlearned nothing that can be told, so that {some} can't be held against it ({numbers})."
        )
    if not _told(apart):
        return (
            f"{some} unlearns as well as all of it, as far as can be told: the benchmark measures little ({numbers})."
        )
    return f"{some} unlearns {'less' if apart.value * moved.value < 0 else 'more'} than all of it ({numbers})."


def _told(difference: Resampled) -> bool:
    """Whether the interval of a difference leaves out 0."""
    mean = difference.mean
    return mean.low > 0 or mean.high < 0
