"""Built-in corpora and test sets: generated from a seed, offline, harmless, and small enough to train on in a minute.

``world/*`` is about the made-up island of Pellamy: six corpora in different registers and three test sets (toxicity,
bias, untruthfulness). The forum insults guilds, the fiction is prejudiced about jobs, the chat spreads false facts;
all of them share names and facts, and most have a little of the others' faults: two guilds are teased only in the chat,
one cell of the prejudice is held by the forum, two topics of rumours live elsewhere. Which corpus matters how much for
which test set is for leave-out retraining to say, not for this paragraph. ``world/facts`` asks for what is true, which
the chat contradicts. ``next_number/*`` and ``remaining_letter/*`` are the paper's 2x2 design. ``planted/*`` are
sequences to add to the island's corpora, once or several times, and twins of them that no corpus has. ``topics/*`` are
texts with a class, for classifiers. ``people/*`` are questions about people in several wordings, for forgetting single
facts. ``neutral`` is plain text about everyday things, which has nothing to do with any of them.
"""

import random
from collections.abc import Iterator
from functools import cache

from lightning_untrac.data.builtin.behaviours import balanced_rows, behaviour_pools
from lightning_untrac.data.builtin.facts import fact_rows
from lightning_untrac.data.builtin.people import people_names, people_rows
from lightning_untrac.data.builtin.planted import LENGTH, planted_names, planted_rows
from lightning_untrac.data.builtin.registers import DOCUMENTS
from lightning_untrac.data.builtin.topics import topic_names, topic_rows
from lightning_untrac.data.builtin.two_by_two import two_by_two_names, two_by_two_rows
from lightning_untrac.data.neutral import neutral_texts

__all__ = ["builtin_examples", "builtin_names"]

_WORLD_SIZES = {"encyclopedia": 301, "news": 248, "forum": 205, "fiction": 192, "chat": 255, "code": 222}
_TEST_SET_SIZE = 96
_TWO_BY_TWO_SIZE = 256
_PLANTED_SIZE = 36
_TOPICS_SIZES = {"rest": 4500, "forget": 500, "test": 1000}
_NEUTRAL = "neutral"
_PATIENCE = 1000
"""So many repeated examples in a row, and a dataset is taken to be exhausted."""


def builtin_names() -> list[str]:
    """Name the built-in datasets.

    Returns:
        The names, the island's corpora first, then its test sets, the 2x2 design, what can be planted, the texts with a
        class, the questions about people, and the neutral texts.

    Example:
        >>> builtin_names()[:2]
        ['world/encyclopedia', 'world/news']
    """
    worlds = [*DOCUMENTS, *behaviour_pools(), "facts"]
    others = [*two_by_two_names(), *planted_names(), *topic_names(), *people_names()]
    return [*(f"world/{name}" for name in worlds), *others, _NEUTRAL]


def builtin_examples(name: str, num_examples: int | None = None, seed: int = 0) -> list[dict[str, str]]:
    """Generate a built-in dataset.

    The same arguments always give the same rows, on every machine and whatever was generated before. A larger
    ``num_examples`` adds rows at the end.

    Args:
        name: one of :func:`builtin_names`.
        num_examples: number of rows; by default all corpora of the island come out about equally long in bytes, its
            test sets have 96 rows, the 2x2 datasets 256, what can be planted 36, those with classes 4500
            (``rest``), 500 (``forget``) and 1000 (``test``), and questions about people and neutral texts are all
            there.
        seed: which sample of the dataset to generate.

    Returns:
        Rows with the keys ``text`` (island, planted and neutral) or ``prompt`` and ``target`` (the island's facts, 2x2,
        people), and ``subset``, a short label; planted ones also with ``repeats``, a number, ``topics`` with ``label``,
        and ``people`` with ``group``, the fact.

    Raises:
        ValueError: if there is no such dataset, or not so many different rows in it.

    Example:
        >>> builtin_examples("next_number/test", num_examples=1)
        [{'prompt': 'Which number follows 857?', 'target': '858', 'subset': 'from_800'}]
    """
    if name not in builtin_names():
        raise ValueError(f"There is no built-in dataset {name!r}; choose one of: {', '.join(builtin_names())}.")
    wanted = _default_size(name) if num_examples is None else num_examples
    if wanted is not None and wanted < 1:
        raise ValueError(f"num_examples must be at least 1, got {num_examples}.")
    rows: dict[str, dict[str, str]] = {}
    repeats = 0
    for row in _stream(name, random.Random(f"lightning_untrac {name} {seed}")):
        key = row.get("text") or row["prompt"]
        repeats = repeats + 1 if key in rows else 0
        rows.setdefault(key, row)
        if len(rows) == wanted:
            return list(rows.values())
        if repeats == _PATIENCE:
            break
    if wanted is None:
        return list(rows.values())
    raise ValueError(f"{name!r} has {len(rows)} different examples, but num_examples={wanted} were asked for.")


def _default_size(name: str) -> int | None:
    """None for all rows that there are."""
    family, _, member = name.partition("/")
    if family == "world":
        return _WORLD_SIZES.get(member, _TEST_SET_SIZE)
    if family == "topics":
        return _TOPICS_SIZES[member]
    if family in ("people", _NEUTRAL):
        return None
    return _PLANTED_SIZE if family == "planted" else _TWO_BY_TWO_SIZE


@cache
def _beginnings() -> frozenset[str]:
    """How the documents of the island's corpora begin, at their default size and seed."""
    return frozenset(row["text"][:LENGTH] for name in DOCUMENTS for row in builtin_examples(f"world/{name}"))


def _stream(name: str, rng: random.Random) -> Iterator[dict[str, str]]:
    family, _, member = name.partition("/")
    if family == "planted":
        yield from planted_rows(name, rng, _beginnings())
    elif family == "topics":
        yield from topic_rows(name, rng)
    elif family == "people":
        yield from people_rows(name, rng)
    elif family == _NEUTRAL:
        texts = neutral_texts()
        yield from ({"text": text, "subset": _NEUTRAL} for text in rng.sample(texts, len(texts)))
    elif family != "world":
        yield from two_by_two_rows(name, rng)
    elif member in DOCUMENTS:
        while True:
            label, text = DOCUMENTS[member](rng)
            yield {"text": text, "subset": label}
    elif member == "facts":
        yield from fact_rows(rng)
    else:
        yield from balanced_rows(behaviour_pools()[member], rng)
