"""Single cells: as text, as they are written; and when two are equal."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
"""A number as JSON writes it: ``007`` is none, because it may be a name."""


def as_text(cell: Any) -> str | None:
    """A cell as it is written: numbers in JSON keep their digits, ``true`` stays ``true``, null is None.

    Raises:
        ValueError: if it is a list or an object, or no valid text.
    """
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (list, dict, bytes)):
        raise ValueError(f"holds a {type(cell).__name__} where text was expected")
    text = str(cell)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair is no text; write the whole character") from error
    return text


def comparable(text: str | None) -> str | float | None:
    """What two cells are compared by: numbers as numbers, ``true`` and ``false`` in any case, all else as text.

    Example:
        >>> comparable("1.0") == comparable("1"), comparable("True") == comparable("true")
        (True, True)
        >>> comparable("007") == comparable("7")
        False
    """
    if text is None:
        return None
    if _NUMBER.fullmatch(text) and len(text) < 16:  # longer ones may be alike as floats and are not
        return float(text)
    return text.lower() if text.lower() in ("true", "false") else text
