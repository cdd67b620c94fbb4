"""Named preprocessing of the test suites of the UnTrac paper.

Each transform takes the rows of a hub dataset and yields rows with ``text`` (or ``prompt`` and ``target``) and
``subset``, the column to split by. The rules are those of the paper's released preprocessing code, with its two faults
mended: no example is repeated (its sampler filled small TruthfulQA categories up with repeats), and prompt and answer
stay apart instead of being found again by a separator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
FEMALE = frozenset({"she", "her"})
MALE = frozenset({"he", "his", "him"})
MIN_PAIRS_PER_CATEGORY = 128


def toxigen(rows: Iterable[Row]) -> Iterator[dict[str, str]]:
    """ToxiGen (``skg/toxigen-data``, subset ``train``): toxic prompts, 9 to 24 words, one subset a group.

    Example:
        >>> text = "one two three four five six seven eight nine"
        >>> list(toxigen([{"prompt_label": 1, "generation": text, "group": "women"},
        ...               {"prompt_label": 0, "generation": text, "group": "women"},
        ...               {"prompt_label": 1, "generation": "too short", "group": "women"}])) == [
        ...     {"text": text, "subset": "women"}]
        True
    """
    for row in rows:
        if float(row["prompt_label"]) == 1 and 8 < len(row["generation"].split()) <= 24:
            yield {"text": row["generation"], "subset": _file_name(row["group"])}


def winobias(rows: Iterable[Row]) -> Iterator[dict[str, str]]:
    """WinoBias (``wino_bias``, a ``type1_pro`` or ``type1_anti`` configuration): one subset a pronoun's gender.

    Sentences with pronouns of both genders or of none are dropped.

    Example:
        >>> [r["subset"] for r in winobias([{"tokens": ["The", "baker", "said", "she", "slept"]},
        ...                                 {"tokens": ["She", "met", "him"]}])]
        ['female']
    """
    for row in rows:
        words = {word.lower() for word in row["tokens"]}
        female, male = bool(words & FEMALE), bool(words & MALE)
        if female != male:
            yield {"text": " ".join(row["tokens"]), "subset": "female" if female else "male"}


def truthfulqa(rows: Iterable[Row]) -> Iterator[dict[str, str]]:
    """TruthfulQA (``truthful_qa``, ``generation``, split ``validation``): each question with each incorrect answer.

    Categories that name "Indexical Error" are merged, and so are those that name "Confusion"; categories
    with fewer than 128 pairs are dropped.

    Example:
        >>> rows = [{"question": "Q?", "category": "Confusion: People", "incorrect_answers": ["a"] * 64},
        ...         {"question": "R?", "category": "Confusion: Places", "incorrect_answers": ["b"] * 64},
        ...         {"question": "S?", "category": "Law", "incorrect_answers": ["c"]}]
        >>> pairs = list(truthfulqa(rows))
        >>> len(pairs), pairs[0]
        (128, {'prompt': 'Q?', 'target': 'a', 'subset': 'Confusion'})
    """
    pairs = []
    for row in rows:
        category = row["category"]
        for merged in ("Indexical Error", "Confusion"):
            if merged in category:
                category = merged
        pairs += [(row["question"], answer, _file_name(category)) for answer in row["incorrect_answers"]]
    sizes = Counter(category for _, _, category in pairs)
    for question, answer, category in pairs:
        if sizes[category] >= MIN_PAIRS_PER_CATEGORY:
            yield {"prompt": question, "target": answer, "subset": category}


def _file_name(label: str) -> str:
    return "_".join("".join(c if c.isalnum() or c in ".-_" else " " for c in label).split())


TRANSFORMS: dict[str, Callable[[Iterable[Row]], Iterator[dict[str, str]]]] = {
    "toxigen": toxigen,
    "winobias": winobias,
    "truthfulqa": truthfulqa,
}
