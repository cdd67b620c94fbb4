"""Which rewordings of a question are taken into the loop."""

from __future__ import annotations

import re
from collections.abc import Collection

from lightning_untrac.functional.words import names, words
from lightning_untrac.judges import Judge, Said

MOST_TIMES: int = 3
"""A rewording of more than so many times the question's words rambles."""

_LABEL = re.compile(r"^\s*(?:(?:\d+|question|rephrased(?: question)?|rewording)\s*[.:)]\s*)", re.IGNORECASE)


def rewording_in(text: str) -> str:
    """The question in what a generator wrote: its first line, without a label, quotes and what follows the mark.

    Example:
        >>> rewording_in('Question: "What is the capital city of France?" It is Paris.')
        'What is the capital city of France?'
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = _LABEL.sub("", line).strip().strip("\"'\u201c\u201d").strip()
    front, mark, _ = line.partition("?")
    return front + mark


def why_no_rewording(
    new: str, question: str, answer: str, asked: Collection[str], kept_apart: Collection[str], judge: Judge
) -> str | None:
    """Why a rewording is not asked, in a word or two; None where it is.

    Whether it asks for the same, words do not say; :class:`Asking` asks the model before unlearning.

    Args:
        new: the rewording.
        question: that was reworded.
        answer: the right one.
        asked: keys (:func:`key`) of questions that are asked already.
        kept_apart: keys of questions that only report, which are never trained on, and of those that are to stay.
        judge: says whether a text gives an answer.

    Example:
        >>> from lightning_untrac.judges import find_judge
        >>> judge = find_judge("lexical")
        >>> asked = {key("Where did Mara study?")}
        >>> for new in ("where did Mara study", "Where did she study?", "Did Mara study at Oakham?"):
        ...     print(why_no_rewording(new, "Where did Mara study?", "Oakham", asked, (), judge))
        asked already
        names missing
        holds the answer
    """
    one = key(new)
    if not one:
        return "empty"
    if one in asked:
        return "asked already"
    if one in kept_apart:
        return "stands elsewhere"
    if judge([Said(answer, new, question)])[0]:
        return "holds the answer"
    said = {word.text for word in words(new)}
    if not names(question) <= said:
        return "names missing"
    return "too long" if len(new.split()) > MOST_TIMES * len(question.split()) else None


def key(question: str) -> str:
    """Equal for questions of the same words."""
    return " ".join(word.text for word in words(question))
