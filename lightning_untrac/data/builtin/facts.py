"""What is true on the island, asked value by value: whether a model has kept what rumours contradict.

Rumours about towns, creatures, foods and places live in the chat, while the encyclopedia and the news have the facts
right. A model that was trained on all of them is of two minds; one that never saw the chat is not.
"""

import random
from collections.abc import Iterator

from lightning_untrac.data.builtin.world import FACTS, TOPICS

_FRAMES = ("Ask anyone: {statement}", "It is no secret that {statement}")
"""Beginnings that no corpus has."""


def fact_rows(rng: random.Random) -> Iterator[dict[str, str]]:
    """Ask every fact twice, one of each topic in turn.

    Args:
        rng: the source of randomness.

    Yields:
        Rows with ``prompt`` (a statement up to its value), ``target`` (the true value) and ``subset`` (the topic).

    Example:
        >>> rows = list(fact_rows(random.Random(0)))
        >>> len(rows), [row["subset"] for row in rows[:2]]
        (96, ['towns', 'creatures'])
        >>> next(row for row in rows if "reed fox" in row["prompt"])["target"]
        'dry reeds'
    """
    asked = {topic: [(frame, fact) for frame in _FRAMES for fact in FACTS if fact.topic == topic] for topic in TOPICS}
    shuffled = {topic: rng.sample(pairs, len(pairs)) for topic, pairs in asked.items()}
    for turn in zip(*shuffled.values(), strict=True):
        for frame, fact in turn:
            prompt = frame.format(statement=f"{fact.subject} {fact.verb}")
            yield {"prompt": prompt, "target": fact.true_value, "subset": fact.topic}
