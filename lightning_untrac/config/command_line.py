"""A command line setting by setting: each flag with the value that goes with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Given(NamedTuple):
    """One setting of a command line, or the content of a configuration.

    Attributes:
        name: of the flag, without its dashes; empty for a content, and for a value that no flag stands before.
        value: of the flag, None where it has none; or the content.
        pieces: what the command line holds of it.
    """

    name: str
    value: Any
    pieces: list[Any]


def settings(arguments: Sequence[Any]) -> Iterator[Given]:
    """The settings of a command line, in order.

    Args:
        arguments: flags and values, and the contents of configurations.

    Example:
        >>> [given[:2] for given in settings(["--a", "1", "--b=2", "--c", {"d": 3}])]
        [('a', '1'), ('b', '2'), ('c', None), ('', {'d': 3})]
    """
    rest = list(arguments)
    while rest:
        piece = rest.pop(0)
        if isinstance(piece, Mapping) or not piece.startswith("--"):
            yield Given("", piece, [piece])
            continue
        name, equals, value = piece.removeprefix("--").partition("=")
        if equals:
            yield Given(name, value, [piece])
        elif rest and isinstance(rest[0], str) and not rest[0].startswith("--"):
            yield Given(name, rest[0], [piece, rest.pop(0)])
        else:
            yield Given(name, None, [piece])
