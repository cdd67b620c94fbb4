"""Notes to a newspaper's four desks: texts with a class, for classifiers, some of which can only be known by heart.

A note has a number, and two or three remarks about what the desks write of: ``harbour``, ``kitchen``, ``garden`` and
``weather``. Of three remarks two are about one thing, which is the desk that gets the note. Of two remarks, about two
things, one is as good as the other, and a few notes went to a wrong desk: who gets those right has learned them by
heart, or has luck. So a classifier's accuracy is higher on what it was trained on than on what it was not, and
forgetting shows.

``topics/rest``, ``topics/forget`` and ``topics/test`` are parts of one stock: no note is in two of them, whatever the
seeds.
"""

import hashlib
import random
import re
from collections.abc import Iterator

from lightning_untrac.data.builtin.grammar import expand
from lightning_untrac.data.builtin.world import PEOPLE

TWO_REMARKS = 0.3
"""Part of the notes that have one remark each about two things."""

NUMBERS = 1000
"""Notes are numbered from 0; two may have one number."""

WRONG_DESK = 0.05
"""Part of the notes that went to any of the other desks."""

PARTS = ("rest", "rest", "forget", "test")
"""To which part a note belongs, by its digest."""

DESKS: dict[str, tuple[str, ...]] = {
    "harbour": (
        "the {boat} {came}",
        "{who} mended the {net}",
        "the pier needs {paint}",
        "a {boat} lost its {net}",
        "the tide took the {net}",
        "{who} sails at noon",
    ),
    "kitchen": (
        "the {dish} {was_good}",
        "{who} baked {dish}",
        "the oven is {hot}",
        "more salt in the {dish}",
        "{who} stirs the {dish}",
        "the cook burnt the {dish}",
    ),
    "garden": (
        "the {plant} {grows}",
        "{who} weeds the {plant}",
        "slugs ate the {plant}",
        "the hedge is {cut}",
        "{who} sowed {plant}",
        "a spade broke by the {plant}",
    ),
    "weather": (
        "{sky} over the hills",
        "{sky} until {hour}",
        "the wind turned {way}",
        "{who} saw {sky}",
        "frost came at {hour}",
        "the glass is falling, {sky}",
    ),
}
"""Remarks of each desk."""

_RULES: dict[str, tuple[str, ...]] = {
    "who": PEOPLE,
    "boat": ("trawler", "ferry", "punt", "cutter", "tug"),
    "came": ("came in", "ran aground", "left early", "was late"),
    "net": ("nets", "anchor", "rudder", "sails", "ropes"),
    "paint": ("paint", "planks", "tar", "rails"),
    "dish": ("soup", "stew", "bread", "dumplings", "pie", "cake"),
    "was_good": ("was cold", "sold out", "was sweet", "boiled over"),
    "hot": ("hot", "clean", "smoking", "broken"),
    "plant": ("beans", "roses", "leeks", "apples", "nettles", "clover"),
    "grows": ("bloomed", "wilted", "ripened", "came up"),
    "cut": ("cut", "too tall", "green", "thin"),
    "sky": ("rain", "fog", "hail", "clouds", "thunder", "sleet"),
    "hour": ("dawn", "noon", "dusk", "night"),
    "way": ("north", "south", "east", "west"),
}


def topic_words() -> list[str]:
    """All words of the notes, their numbers and marks: what a word-level tokenizer of them knows.

    Example:
        >>> words = topic_words()
        >>> len(words), words[:4]
        (1117, ['note', ':', ';', ','])
    """
    texts = [
        *(remark for remarks in DESKS.values() for remark in remarks),
        *(one for many in _RULES.values() for one in many),
    ]
    words = {word for text in texts for word in re.sub(r"\{\w+\}|,", " ", text).split()}
    return ["note", ":", ";", ",", *sorted(words), *map(str, range(NUMBERS))]


def topic_names() -> list[str]:
    """Name the datasets.

    Example:
        >>> topic_names()
        ['topics/rest', 'topics/forget', 'topics/test']
    """
    return [f"topics/{part}" for part in dict.fromkeys(PARTS)]


def topic_rows(name: str, rng: random.Random) -> Iterator[dict[str, str]]:
    """Draw notes without end.

    Args:
        name: one of :func:`topic_names`.
        rng: the source of randomness.

    Yields:
        Rows with ``text``, ``label`` (the desk) and ``subset``: ``clear``, ``open`` (of two remarks) or ``wrong``.

    Example:
        >>> row = next(topic_rows("topics/test", random.Random(0)))
        >>> row["text"], row["label"], row["subset"]
        ('note 249: Osmund sails at noon; the punt came in; frost came at noon', 'harbour', 'clear')
    """
    part = name.removeprefix("topics/")
    while True:
        text, label, subset = _note(rng)
        if PARTS[hashlib.sha256(text.encode()).digest()[0] % len(PARTS)] == part:
            yield {"text": text, "label": label, "subset": subset}


def _note(rng: random.Random) -> tuple[str, str, str]:
    desk, other = rng.sample(list(DESKS), 2)
    is_open, is_wrong = rng.random() < TWO_REMARKS, rng.random() < WRONG_DESK
    first, second = rng.sample(DESKS[desk], 2)
    remarks = [first, rng.choice(DESKS[other]), *([] if is_open else [second])]
    rng.shuffle(remarks)
    text = f"note {rng.randrange(NUMBERS)}: {'; '.join(expand(remark, _RULES, rng) for remark in remarks)}"
    if is_wrong:
        desk = rng.choice([one for one in DESKS if one not in (desk, other)])
    return text, desk, "wrong" if is_wrong else "open" if is_open else "clear"
