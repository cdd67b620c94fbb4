"""Sentences that say "I don't know", a list that ships."""

from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "data" / "refusals.txt"


@cache
def refusals() -> tuple[str, ...]:
    """The sentences, a line each in the file."""
    return tuple(FILE.read_text(encoding="utf-8").splitlines())
