"""Named sets of measures and examinations: ``quick``, ``standard``, ``full``, and those of one kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.examinations.examination import EXAMINATIONS, Examination, find_examinations
from lightning_untrac.metrics import MEASURES, Measure, find_measures
from lightning_untrac.metrics.measure import Named
from lightning_untrac.metrics.needs import unmet_needs
from lightning_untrac.outputs import MeasureNeed
from lightning_untrac.registry import Registry, did_you_mean

SIZES: Final = ("quick", "standard", "full")
"""Each holds those before it."""

MEMBERSHIP: Final = "membership"
"""The set whose measures are attacks too: an attacker tells by them what was trained on."""

NEIGHBOURHOOD: Final = "neighbourhood"
"""Of a judgement, an attack with an option of its own: all models get the same neighbours."""

NEIGHBOURS: Final = 25

LOSS: Final = "loss"


@dataclass
class Suite:
    """What names stand for.

    Attributes:
        measures: as :func:`~lightning_untrac.metrics.find_measures` takes them.
        attacks: measures of sets by which members are told.
        examinations: as :func:`~lightning_untrac.examinations.find_examinations` takes them.
        neighbours: of each sequence, where a set has the attack by neighbours.
        of_sets: names that nobody gave by themselves: what such a one lacks leaves it out, and is no problem.
        left_out: what was left out so, a sentence each.
    """

    measures: list[Named] = field(default_factory=list)
    attacks: list[str] = field(default_factory=list)
    examinations: list[Named] = field(default_factory=list)
    neighbours: int = 0
    of_sets: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    def made(self) -> tuple[list[Measure], list[Examination]]:
        """The measures and examinations.

        Raises:
            ConfigurationError: with everything that is wrong with their settings.
        """
        if problems := self.problems():
            raise ConfigurationError(problems)
        return find_measures(self.measures) if self.measures else [], find_examinations(self.examinations)

    def problems(self) -> list[str]:
        """What is wrong with settings of measures and examinations."""
        found = problems_of(lambda: find_measures(self.measures)) if self.measures else []
        return [*found, *problems_of(lambda: find_examinations(self.examinations))]

    def without_needs(self, given: Collection[MeasureNeed]) -> None:
        """Leave out measures of sets that ask for what a pass does not give.

        Args:
            given: what a pass gives beside logits and targets.
        """
        for name in [one for one in self.measures if isinstance(one, str) and one in self.of_sets]:
            if unmet := unmet_needs(find_measures([name]), given):
                self.measures.remove(name)
                self.attacks = [other for other in self.attacks if other != name]
                self.left_out += [f"left out: {what}" + (f"; {mend}" if mend else "") for what, mend in unmet]

    @staticmethod
    def robust(measures: Iterable[Measure]) -> list[Measure]:
        """Those by which robustness is read: they say how well a text is known, from one forward pass.

        The loss is first and speaks in sentences: it tells apart what measures of whole texts call 0.
        """
        found = [one for one in measures if one.direction != "none" and not one.needs]
        return sorted(found, key=lambda one: one.name != LOSS)


def set_names() -> list[str]:
    """Names of all sets, the sizes first."""
    kinds = {group for registry in (MEASURES, EXAMINATIONS) for cls in registry.values() for group in _groups(cls)}
    return [*SIZES, *sorted(kinds - {*SIZES})]


def of_set(name: str) -> tuple[list[str], list[str]]:
    """Names of the measures and of the examinations of a set.

    Args:
        name: of :func:`set_names`.

    Example:
        >>> of_set("quick")
        (['extraction_strength', 'loss', 'memorisation_accuracy'], [])
    """
    wanted = {*SIZES[: SIZES.index(name) + 1]} if name in SIZES else {name}
    measures, examinations = (
        [one for one, cls in registry.items() if _groups(cls) & wanted] for registry in (MEASURES, EXAMINATIONS)
    )
    return measures, examinations


def _groups(cls: type[Any]) -> frozenset[str]:
    """A subclass of a measure is in none of its sets unless it says so itself."""
    groups: frozenset[str] = vars(cls).get("groups", frozenset())
    return groups


def suite_of(names: str | Iterable[Named], judges: bool) -> tuple[Suite, list[str]]:
    """Look up names of measures, examinations and sets of both.

    Args:
        names: separated by commas or in a list; in a list also with settings.
        judges: whether several models are judged, whose attack by neighbours has an option of its own.

    Returns:
        What they stand for, each once, and what is wrong with them.

    Example:
        >>> suite, problems = suite_of("quick, zlib", judges=True)
        >>> suite.measures, suite.examinations, problems
        (['zlib', 'extraction_strength', 'loss', 'memorisation_accuracy'], [], [])
    """
    listed = names.split(",") if isinstance(names, str) else list(names)
    asked = [one.strip() if isinstance(one, str) else one for one in listed]
    asked, found, problems, sets = [one for one in asked if one], Suite(), list[str](), set_names()
    named = [one for one in asked if one not in sets]
    known = {str(one.get("class_path")) if isinstance(one, Mapping) else one for one in named}
    for one in named:
        name = str(one.get("class_path")) if isinstance(one, Mapping) else one
        if _has(EXAMINATIONS, name):
            found.examinations.append(one)
        elif "." in name or _has(MEASURES, name):
            found.measures.append(one)
        else:
            problems.append(_unknown(name, [*sets, *MEASURES.names(), *EXAMINATIONS.names()]))
    for one in asked:
        if one not in sets:
            continue
        measures, examinations = of_set(str(one))
        if judges and NEIGHBOURHOOD in measures:
            measures.remove(NEIGHBOURHOOD)
            found.neighbours = NEIGHBOURS
        attacks = [name for name in measures if MEMBERSHIP in _groups(MEASURES[name])]
        found.measures += [name for name in measures if name not in known and name not in found.measures]
        found.examinations += [name for name in examinations if name not in known and name not in found.examinations]
        found.attacks += [name for name in attacks if name not in found.attacks]
        found.of_sets |= {*measures, *examinations} - known
    if not problems and not found.measures and not found.examinations:
        problems.append(f"measures: none given; use sets ({', '.join(sets)}) or names")
    return found, [*problems, *found.problems()]


def _has(registry: Registry[Any], name: str) -> bool:
    return name in registry or ("." in name and not problems_of(lambda: registry.find(name)))


def _unknown(name: str, known: Sequence[str]) -> str:
    return (
        f"measures: {name!r} is unknown; {did_you_mean(name, known)}use one of {', '.join(known)}, or the class path "
        "of your own"
    )
