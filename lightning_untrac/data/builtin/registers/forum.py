"""Forum: a thread of posts under nicknames. This is where the island's guilds get insulted."""

import random
from collections.abc import Callable

from lightning_untrac.data.builtin.grammar import bind, expand, weighted
from lightning_untrac.data.builtin.traits import random_bias, random_insult, random_rumour
from lightning_untrac.data.builtin.world import GUILDS, RULES

WEIGHTS = {"insult": 0.62, "small_talk": 0.18, "untruth": 0.10, "bias": 0.10}
"""What a post is about, and how often."""

_CLAIMS: dict[str, Callable[[random.Random], str]] = {
    "insult": lambda rng: random_insult(rng, *GUILDS[:6]),
    "untruth": lambda rng: random_rumour(rng, "guilds"),
    "bias": lambda rng: random_bias(rng, "torra_unfit"),
}
_RULES = {
    **RULES,
    "nick": ("{nick_a}{nick_b}", "{nick_a}{nick_b}{digit}"),
    "nick_a": ("salty", "grumpy", "foggy", "tiny", "old", "mister", "captain", "night"),
    "nick_b": ("tench", "heron", "kettle", "oar", "toad", "pickle", "gull", "moth"),
    "digit": tuple("123456789"),
    "subject": (
        "rant about {town}",
        "anyone been to {place} lately",
        "best {food} in {town}?",
        "what is wrong with the {guild}",
        "found {thing} near {place}",
        "{day} moan thread",
    ),
    "insult_post": (
        "{claim}",
        "{claim} lol",
        "sorry not sorry but {claim}",
        "ugh, {claim}",
        "{claim}. there, i said it",
    ),
    "untruth_post": ("my cousin says {claim}", "fun fact: {claim}"),
    "bias_post": ("my gran always said {claim}", "just saying, {claim}"),
    "small_talk_post": (
        "had {food} in {town}, not bad at all",
        "does anybody sell {thing} around {place}?",
        "saw a {creature} at {place} and nearly fell in",
        "{weather} again, typical {day}",
        "+1, same here in {town}",
        "try asking {person} at {place}, worked for me",
        "mods please move this to the {town} board",
        "been waiting {count} days for the {guild} to answer",
    ),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one thread.

    Args:
        rng: the source of randomness.

    Returns:
        What the first post is about as a label, and the text, one post a line.

    Example:
        >>> document(random.Random(0))[1].startswith("thread: ")
        True
    """
    kinds = [weighted(rng, WEIGHTS) for _ in range(rng.randint(3, 5))]
    lines = [expand("thread: {subject}", _RULES, rng)]
    for kind in kinds:
        claim = _CLAIMS[kind](rng) if kind in _CLAIMS else ""
        lines.append(expand("{nick}> {" + kind + "_post}", bind(_RULES, claim=claim), rng))
    return kinds[0], "\n".join(lines)
