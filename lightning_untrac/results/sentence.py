"""What a sentence about a run is made of: text, and the user's own names set apart in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAMED_AT_MOST = 6


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the user's inside a sentence: to be set apart, and never to be taken for markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Words inside a sentence that lead to another place of the page."""

    text: str
    anchor: str


Part = str | Name | Link
Sentence = tuple[Part, ...]


def plain(sentence: Sentence) -> str:
    """A sentence as text, with names in backticks.

    >>> plain(("It is ", Name("forum"), ", ", Link("here", "data"), "."))
    'It is `forum`, here.'
    """
    return "".join(part if isinstance(part, str) else _PLAIN[type(part)].format(part.text) for part in sentence)


_PLAIN: Final = {Name: "`{}`", Link: "{}"}


def listed(names: Sequence[str], last: str = "and", at_most: int = NAMED_AT_MOST) -> Sentence:
    """Names in a row; of many, the first few and how many more there are.

    >>> plain(listed(["a", "b", "c"])), plain(listed(["a", "b", "c"], at_most=2)), plain(listed(["a", "b"], "or"))
    ('`a`, `b` and `c`', '`a`, `b` and 1 more', '`a` or `b`')
    """
    parts: list[Part] = []
    shown = names[:at_most]
    for place, name in enumerate(shown):
        is_last = place == len(shown) - 1 and len(names) == len(shown)
        parts += [f" {last} " if is_last and place else ", " if place else "", Name(name)]
    more = len(names) - len(shown)
    return (*parts, f" {last} {more} more") if more else tuple(parts)
