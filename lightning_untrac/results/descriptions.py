"""What classes of one kind say of themselves, by name: put here by them, so that results list none of them by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Descriptions(Generic[T]):
    """Texts by name.

    Args:
        kind: a dataclass whose first field is the title, a string; every other field has a default.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind: Any = kind
        self._known: dict[str, T] = {}

    def describe(self, name: str, text: T) -> None:
        """Say something of a name; later words replace earlier ones."""
        self._known[name] = text

    def of(self, name: str) -> T:
        """What is said of a name; where nobody has described it, the name as its title."""
        return self._known[name] if name in self._known else self._kind(name)

    def plain(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What is said of some names as plain values, for a file beside the tables."""
        known: dict[str, Any] = self._known
        return {name: asdict(known[name]) for name in names if name in known}

    def read(self, entries: object) -> None:
        """Take up what :meth:`plain` wrote, of names that have not said anything in this process.

        Args:
            entries: as they were read; whatever has another form is passed over.
        """
        if not isinstance(entries, Mapping):
            return
        title, *others = fields(self._kind)
        for name, entry in entries.items():
            if name in self._known or not isinstance(entry, Mapping) or not isinstance(entry.get(title.name), str):
                continue
            given = {f.name: entry[f.name] for f in others if type(entry.get(f.name)) is type(f.default)}
            self.describe(str(name), self._kind(entry[title.name], **given))
