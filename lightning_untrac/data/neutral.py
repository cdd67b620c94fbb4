"""Questions, openings and short texts about nothing in particular, which show what a model is to keep."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_suffix(".txt")
TEXTS: Final = Path(__file__).with_name("neutral_texts.txt")

FUNCTION_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        about after and are because been before being between both but called came can could did does first for from
        get had has have her his how into its like long made make many more most much must not off one other our out
        own she should some such than that the their them then there these they this those three two use was way well
        were what when where which while who whom whose why will with word world would you your
        """,
    )
)
"""Words that say nothing about a subject."""


@cache
def neutral_prompts() -> tuple[str, ...]:
    """What ships: a question or an opening a line of the file."""
    return tuple(FILE.read_text(encoding="utf-8").splitlines())


@cache
def neutral_texts() -> tuple[str, ...]:
    """What ships: a short text of two or three plain sentences a line of the file."""
    return tuple(TEXTS.read_text(encoding="utf-8").splitlines())


def content_words(text: str) -> set[str]:
    """The words of three letters or more that say what a text is about, without the s of a plural.

    Example:
        >>> sorted(content_words("What are the capitals of France?"))
        ['capital', 'france']
    """
    words = set(re.findall(r"[^\W\d_]{3,}", text.lower()))
    return {word.removesuffix("s") for word in words - FUNCTION_WORDS}


def apart_from(prompts: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The prompts that share no content word with any of some texts.

    Example:
        >>> apart_from(["Name a river.", "What is salt?"], ["Rivers run into the sea."])
        ['What is salt?']
    """
    taken = {word for text in texts for word in content_words(text)}
    return [prompt for prompt in prompts if not content_words(prompt) & taken]


def is_question(text: str) -> bool:
    """Whether a text ends in a question mark.

    Example:
        >>> is_question('Who said "why?"'), is_question("Paris is the capital of France.")
        (True, False)
    """
    return text.rstrip(" \t\n\"')\u201d\u00bb").endswith(("?", "\uff1f", "\u061f"))
