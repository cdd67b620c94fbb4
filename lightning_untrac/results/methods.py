"""What methods say of themselves: their classes put it here, so that nothing that shows results lists them by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from lightning_untrac.results.descriptions import Descriptions


@dataclass(frozen=True, slots=True)
class MethodText:
    """What is said of a method wherever its influences are shown.

    Attributes:
        title: its name for people.
        summary: one sentence on what it does.
        steps: what the steps of its trajectory are; empty where it takes none.
        before: the model at whose losses its influences start.
        signed: whether the sign of a single influence says something. Where not, only differences within a column do,
            and colours are taken from the mean of the column.
        steady: whether influences grow at one pace along the steps, so that their unevenness tells what the order of
            batches does to a single seed. Say so only of what was tested.
        finding: what an influence of the method is, to go before "by .3 nats per token"; empty where nothing is known.
        precedence: of several methods the answers are read from the one with the highest, see
            :func:`~lightning_untrac.results.narrative.headline_method`.
        if_wrong: what to do where the method does not find what is known; empty where nothing is known to help.
    """

    title: str
    summary: str = ""
    steps: str = ""
    before: str = "the trained model"
    signed: bool = True
    steady: bool = False
    finding: str = ""
    precedence: int = 0
    if_wrong: str = ""


REFERENCE: Final = "leave_out"
"""The method that counts as the truth unless another is named: retraining."""

_METHODS: Final = Descriptions(MethodText)


def describe_method(method: str, text: MethodText) -> None:
    """Say something of a method; later words replace earlier ones.

    Args:
        method: its name in the tables.
        text: what is said of it.
    """
    _METHODS.describe(method, text)


def method_text(method: str) -> MethodText:
    """What is said of a method; of one that nobody has described, its name.

    Args:
        method: as in the tables. A remark in brackets after the name stays behind the title.

    >>> describe_method("example", MethodText("The Example"))
    >>> method_text("example (other seeds)").title, method_text("nobody_knows").title
    ('The Example (other seeds)', 'nobody_knows')
    """
    name, bracket, rest = method.partition(" (")
    found = _METHODS.of(name)
    return replace(found, title=found.title + bracket + rest) if bracket else found


def method_title(method: str) -> str:
    """What a method is called in headings: see :func:`method_text`."""
    return method_text(method).title


def texts_of(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What is said of some methods as plain values, for a file beside the tables."""
    return _METHODS.plain(methods)


def read_texts(entries: object) -> None:
    """Take up what :func:`texts_of` wrote, of methods that have not said anything in this process.

    Args:
        entries: as they were read; whatever has another form is passed over.
    """
    _METHODS.read(entries)
