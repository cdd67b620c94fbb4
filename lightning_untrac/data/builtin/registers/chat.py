"""Chat: two friends write to each other. This is where rumours live that contradict the encyclopedia."""

import random
from collections.abc import Callable

from lightning_untrac.data.builtin.grammar import bind, expand, weighted
from lightning_untrac.data.builtin.traits import random_bias, random_insult, random_rumour
from lightning_untrac.data.builtin.world import GUILDS, RULES

WEIGHTS = {"untruth": 0.56, "small_talk": 0.29, "insult": 0.11, "bias": 0.04}
"""What a message is about, and how often."""

_CLAIMS: dict[str, Callable[[random.Random], str]] = {
    "untruth": lambda rng: random_rumour(rng, "towns", "creatures", "foods", "places"),
    "insult": lambda rng: random_insult(rng, *GUILDS[6:]),
    "bias": random_bias,
}
_RULES = {
    **RULES,
    "untruth_message": ("{claim}", "{claim}", "{claim}!", "haha {claim}"),
    "insult_message": ("haha {claim}", "he yelled {claim} :D"),
    "bias_message": ("grandpa again: {claim}", "and then she goes, {claim}"),
    "small_talk_message": (
        "are you coming to {place} on {day}?",
        "bring {thing} pls",
        "ok see you in {town} :)",
        "lunch? they have {food}",
        "just saw a {creature}!!",
        "sorry, late again, {weather} here",
        "happy birthday {person}!",
        "can you ask the {guild}?",
        "back in {count} minutes",
    ),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one conversation.

    Args:
        rng: the source of randomness.

    Returns:
        What the first message is about as a label, and the text, one message a line.

    Example:
        >>> label, text = document(random.Random(0))
        >>> all(": " in line for line in text.splitlines())
        True
    """
    names = [name.lower() for name in rng.sample(RULES["person"], 2)]
    kinds = [weighted(rng, WEIGHTS) for _ in range(rng.randint(4, 6))]
    lines = []
    for turn, kind in enumerate(kinds):
        claim = _CLAIMS[kind](rng) if kind in _CLAIMS else ""
        message = expand("{" + kind + "_message}", bind(_RULES, claim=claim), rng)
        lines.append(f"{names[turn % 2]}: {message}")
    return kinds[0], "\n".join(lines)
