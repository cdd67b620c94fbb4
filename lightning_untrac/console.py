"""The terminal: tables and sentences come out on any, also where it knows fewer characters than we use."""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PLAIN = {
    "\u00b1": "+-",  # plus-minus
    "\u25b8": ">",  # the mark of the strongest
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2026": "...",
    "\u00b7": ".",
    "\u2022": "*",
    "\u00d7": "x",
    "\u2212": "-",
    "\u2192": "->",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2248": "~",
    "\u03b8": "theta",
    "\u00b5": "u",
}
"""Plain characters for those that tables and sentences use; any other becomes a question mark."""

FALL_BACK = "untrac-plain"
"""Name of the error handler."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error(FALL_BACK, _plain)


def settle_streams() -> None:
    """Let standard output and error write what they can't encode in plain characters.

    A terminal or log in latin-1 or ASCII would otherwise end a command in a ``UnicodeEncodeError``, after its work.
    """
    for stream in (sys.stdout, sys.stderr):
        settle(stream)


def settle(stream: TextIO | None) -> None:
    """The same for one stream; one that is no file of the system's stays as it is."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", None) != FALL_BACK:
        reconfigure(errors=FALL_BACK)


def console(stderr: bool = False, width: int | None = None) -> Console:
    """A rich console on standard output or error: the only way to make one here.

    Args:
        stderr: for progress, which is no part of a command's answer.
        width: in columns; the terminal's where None.
    """
    from rich.console import Console

    settle_streams()
    return Console(stderr=stderr, width=width, markup=False, emoji=False)  # a path may hold brackets and colons
