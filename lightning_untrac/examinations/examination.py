"""What an examination is: something is done to each model of a judgement, and numbers of examples come of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found
from lightning_untrac.metrics.measure import Named
from lightning_untrac.registry import Registry
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED

EXAMINATIONS: Registry[Examination] = Registry("examination", "lightning_untrac.examinations")
"""All of them by name."""


class Examination(ABC):
    """Does something to each model of a judgement. A new one is one new file in ``examinations/``.

    :meth:`examine` does the work, a model at a time; what it returns is kept in a file, so that a run that was killed
    goes on with the next model. :meth:`conclude` then reads what was found of all models; it costs nothing.

    Attributes:
        name: in the tables and on the command line.
        title: its name for people.
        measure: the measure of its main number, which ``unit``, ``direction`` and ``ideal`` are about.
        unit: of its main number.
        direction: which numbers say that the model knows the forget set better: ``lower``, ``higher``, or ``none``.
        ideal: the number that perfect unlearning would give, in words.
        cannot_tell: what a good number does not show.
        source: where it comes from.
        axis: what ``at`` counts, for a picture of a line a model; empty for an examination without picture.
        other_measures: further measures of which it has numbers.
        statistics: what it concludes of a model beside means, as tables call it.
        groups: named sets of measures that it belongs to, beside ``full``.
        roles: which models are examined.
        needs_retrained: whether it says nothing without a retrained model; then it is left out with a note where there
            is none.
        needs_weights_alike: whether it works on the weights of several models together, which have to be of one
            architecture.
        beside: which other models :meth:`examine` reads. What was kept of a model holds until one of them is another.
        measures_models: whether :meth:`examine` measures by ``bench.measures``, so that other ones need new passes.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    measure: ClassVar[str]
    unit: ClassVar[str] = ""
    direction: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[str] = "as the retrained model"
    cannot_tell: ClassVar[str] = ""
    source: ClassVar[str] = ""
    axis: ClassVar[str] = ""
    other_measures: ClassVar[tuple[str, ...]] = ()
    statistics: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[frozenset[str]] = frozenset()
    roles: ClassVar[tuple[str, ...]] = (ORIGINAL, UNLEARNED, RETRAINED)
    needs_retrained: ClassVar[bool] = False
    needs_weights_alike: ClassVar[bool] = False
    beside: ClassVar[tuple[str, ...]] = (ORIGINAL, RETRAINED)
    measures_models: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new examination known, and what it says of itself."""
        super().__init_subclass__(**kwargs)
        EXAMINATIONS.add(cls)
        if isinstance(vars(cls).get("name"), str):
            describe_measure(cls.measure, MeasureText.of(cls, cls.title))

    @property
    def settings(self) -> dict[str, Any]:
        """What its numbers depend on beside models and data; part of the name of the files that are kept.

        Attributes that begin with an underscore are no settings: an examination may keep there what it has found.
        """
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def problems(self, bench: Bench) -> list[str]:
        """What is wrong before any model is loaded: a package that is not there, data that do not suit.

        Args:
            bench: with prepared data.
        """
        return []

    @abstractmethod
    def passes(self, bench: Bench) -> float:
        """About how many forward passes over the evaluated data one model takes; ``untrac plan`` says it.

        Args:
            bench: with prepared data.
        """

    def parts(self, forget: str) -> list[str]:
        """Names of datasets that it makes for itself.

        Args:
            forget: the forget set.
        """
        return []

    def written_tokens(self, bench: Bench) -> float:
        """About how many tokens one model writes of each text of a batch; ``untrac plan`` says it.

        Args:
            bench: with prepared data.
        """
        return 0.0

    @abstractmethod
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        """Do the work on one model; called on every rank, in the order of ``bench.models.every``.

        Args:
            bench: runs modules and knows the other models.
            path: of the model.

        Returns:
            Numbers of examples, on every rank.
        """

    def conclude(self, bench: Bench, found: Found) -> Concluded:
        """What follows from all models; called on every rank, without any model.

        Args:
            bench: knows which models there are.
            found: path of a model to what :meth:`examine` has returned, now or in an earlier run.
        """
        return Concluded()


def find_examinations(names: str | Iterable[Named]) -> list[Examination]:
    """The examinations of some names.

    Args:
        names: names or class paths, in a list or separated by commas; in a list also with settings,
            ``{class_path: NAME, init_args: {...}}``.

    Raises:
        ConfigurationError: with everything that is wrong with them.
    """
    found: dict[str, Examination] = {}
    problems: list[str] = []
    for one in names.split(",") if isinstance(names, str) else names:
        if not (asked := one.strip() if isinstance(one, str) else one):
            continue
        try:
            made = EXAMINATIONS.make(asked)
            if made.name in found:
                problems.append(f"examinations: {made.name!r} is given twice; give it once")
            found[made.name] = made
        except ConfigurationError as error:
            problems += [f"examinations: {problem}" for problem in error.problems]
    raise_if_any(problems)
    return list(found.values())
