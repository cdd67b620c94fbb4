"""How much of one text stands in another in the same order: ROUGE-L."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

Score = Literal["recall", "precision", "fmeasure"]
"""Shared words over those of the right answer, over those of what was said, or the harmonic mean of the two."""

SCORES: Final[tuple[Score, ...]] = get_args(Score)

_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")


def rouge_words(text: str) -> list[str]:
    """The words that count: letters and digits in small letters.

    Those of the usual scorer for ASCII text, which drops all other letters; here words of any script count. Nothing is
    stemmed.

    Example:
        >>> rouge_words("It's a Naïve_test, No. 2!")
        ['it', 's', 'a', 'naïve', 'test', 'no', '2']
    """
    return _BETWEEN_WORDS.sub(" ", text.lower()).split()


def rouge_l(said: Sequence[str], answers: Sequence[str], score: Score = "recall") -> list[float | None]:
    """ROUGE-L (Lin 2004) of each text: the longest common subsequence of words, by torchmetrics.

    Args:
        said: what was said.
        answers: what is right, alike.
        score: what the common words are a share of.

    Returns:
        From 0 to 1; None where the right answer has no word.

    Example:
        >>> rouge_l(["Ann wrote it, in May"], ["It was Ann who wrote it"])
        [0.5]
    """
    from torchmetrics.functional.text import rouge_score  # seconds, which nobody else needs to wait

    found: list[float | None] = []
    for one, answer in zip(said, answers, strict=True):
        if not rouge_words(answer):
            found.append(None)
            continue
        scores = rouge_score(one, answer, rouge_keys="rougeL", normalizer=str, tokenizer=rouge_words)
        found.append(float(scores[f"rougeL_{score}"]))
    return found
