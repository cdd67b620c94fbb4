"""Names that the data make and the results read, and numbers of things in words."""

from __future__ import annotations

from typing import Final

IRREGULAR = {"corpus": "corpora", "pass": "passes", "batch": "batches"}


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "episode"), counted(1200, "step"), counted(0, "corpus")
        ('1 episode', '1200 steps', '0 corpora')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {IRREGULAR.get(noun, f'{noun}s')}"


SELF_PREFIX: Final = "self_"
"""Beginning of the names of test sets that are parts of the corpora."""


def self_name(corpus: str) -> str:
    """The test set that is a part of a corpus.

    Example:
        >>> self_name("forum")
        'self_forum'
    """
    return SELF_PREFIX + corpus
