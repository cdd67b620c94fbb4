"""Names that the data make and the results read."""

from __future__ import annotations

from typing import Final

SELF_PREFIX: Final = "self_"
"""Beginning of the names of test sets that are parts of the corpora."""


def self_name(corpus: str) -> str:
    """The test set that is a part of a corpus.

    Example:
        >>> self_name("forum")
        'self_forum'
    """
    return SELF_PREFIX + corpus
