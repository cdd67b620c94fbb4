"""Names that the data make and the results read, and numbers of things in words."""

from __future__ import annotations

from typing import Final

IRREGULAR = {"class": "classes", "corpus": "corpora", "pass": "passes", "batch": "batches"}


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "episode"), counted(1200, "step"), counted(0, "corpus")
        ('1 episode', '1200 steps', '0 corpora')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {IRREGULAR.get(noun, f'{noun}s')}"


def named_method(method: str, name: str | None) -> str:
    """A method in the tables, of one of several runs that have names.

    Example:
        >>> named_method("unlearn:NPO", "mild"), named_method("unlearn:NPO", None)
        ('unlearn:NPO [mild]', 'unlearn:NPO')
    """
    return method if name is None else f"{method} [{name}]"


def name_in_method(method: str) -> str | None:
    """The name that :func:`named_method` has put into a method; None where it has none.

    Example:
        >>> name_in_method("unlearn:NPO [mild]"), name_in_method("unlearn:NPO")
        ('mild', None)
    """
    return method.removesuffix("]").rpartition(" [")[2] if method.endswith("]") else None


SELF_PREFIX: Final = "self_"
"""Beginning of the names of test sets that are parts of the corpora."""


def self_name(corpus: str) -> str:
    """The test set that is a part of a corpus.

    Example:
        >>> self_name("forum")
        'self_forum'
    """
    return SELF_PREFIX + corpus
