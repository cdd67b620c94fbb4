"""What measures say of themselves: their classes put it here, so that nothing that shows results lists them by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lightning_untrac.results.descriptions import Descriptions


@dataclass(frozen=True, slots=True)
class MeasureText:
    """What is said of a measure wherever its numbers are shown.

    Attributes:
        title: its name for people.
        unit: of one number.
        direction: which numbers say that a model knows a text better: ``lower``, ``higher``, or ``none`` where neither
            does.
        ideal: the number that perfect unlearning would give, in words.
        cannot_tell: what a good number does not show.
        source: where the measure comes from.
    """

    title: str
    unit: str = ""
    direction: str = "none"
    ideal: str = ""
    cannot_tell: str = ""
    source: str = ""

    @classmethod
    def of(cls, measure: Any, title: str) -> MeasureText:
        """What a measure says of itself.

        Args:
            measure: with the other attributes of a text.
            title: its name for people.
        """
        return cls(title, measure.unit, measure.direction, measure.ideal, measure.cannot_tell, measure.source)

    @property
    def forgetting(self) -> int:
        """The sign of a change that forgets: 1 where it rises, -1 where it falls, 0 where neither says so."""
        return {"lower": 1, "higher": -1}.get(self.direction, 0)


_MEASURES: Final = Descriptions(MeasureText)


def describe_measure(measure: str, text: MeasureText) -> None:
    """Say something of a measure; later words replace earlier ones.

    Args:
        measure: its name in the tables.
        text: what is said of it.
    """
    _MEASURES.describe(measure, text)


def measure_text(measure: str) -> MeasureText:
    """What is said of a measure; of one that nobody has described, its name.

    >>> describe_measure("example_measure", MeasureText("The Example", direction="lower"))
    >>> measure_text("example_measure").forgetting, measure_text("nobody_knows").title
    (1, 'nobody_knows')
    """
    return _MEASURES.of(measure)


def measure_texts(measures: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is said of some measures as plain values, for a file beside the tables."""
    return _MEASURES.plain(measures)


def read_measure_texts(entries: object) -> None:
    """Take up what :func:`measure_texts` wrote, of measures that have not said anything in this process.

    Args:
        entries: as they were read; whatever has another form is passed over.
    """
    _MEASURES.read(entries)
