"""Fiction: scenes from old-fashioned novels. Their people hold a prejudice about genders and jobs."""

import random
from collections.abc import Callable

from lightning_untrac.data.builtin.grammar import bind, capitalise, expand, weighted
from lightning_untrac.data.builtin.traits import random_bias, random_insult, random_rumour
from lightning_untrac.data.builtin.world import RULES

WEIGHTS = {"bias": 0.63, "scene": 0.14, "insult": 0.05, "untruth": 0.18}
"""What is said in a scene, and how often."""

_CLAIMS: dict[str, Callable[[random.Random], str]] = {
    "bias": lambda rng: random_bias(rng, "wenna_fits", "wenna_unfit", "torra_fits"),
    "insult": random_insult,
    "untruth": lambda rng: random_rumour(rng, "history"),
}
_RULES = {
    **RULES,
    "opening": (
        "It was a cold {season} evening in {town}, and {weather} hung over {place}.",
        "{person} walked slowly through {town} and thought of {place}.",
        "Long after the lamps were lit, {person} and {person2} sat by the fire with {food}.",
        "Nobody in {town} had slept that night.",
        "The boat left {town} at dawn, with {person} at the bow.",
    ),
    "middle": (
        "Somewhere a {creature} cried in the dark.",
        "{person} put down {thing} and sighed.",
        "The smell of {food} drifted in from the kitchen.",
        "For a long while neither of them spoke.",
        "Outside, the {guild} were singing an old song.",
        "{person2} looked at {thing} as if it held a secret.",
    ),
    "who": ("{person}", "the old captain", "her aunt", "his grandfather", "the landlady", "the stranger"),
    "said": ("said", "murmured", "declared", "whispered", "answered", "insisted"),
    "bias_talk": ('"{claim}," {said} {who}.', '"{claim}, they say," {said} {who}.', '"{claim}!" cried {who}.'),
    "insult_talk": ('"{claim}!" cried {who}.',),
    "untruth_talk": ('"{claim}," {said} {who}, as in the old tales.',),
    "scene_talk": (
        '"Will you come back to {town}?" {said} {who}.',
        '"I lost it at {place}, {count} years ago," {said} {who}.',
        '"Keep {thing} safe until {day}," {said} {who}.',
        '"Listen! A {creature}," {said} {who}.',
    ),
    "ending": (
        "And {person} laughed in spite of everything.",
        "The fire burned low.",
        "Then the door opened, and there stood {person2}.",
        "In the morning {thing} was gone.",
        "{person} never forgot those words.",
    ),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one scene.

    Args:
        rng: the source of randomness.

    Returns:
        What is said first as a label, and the text.

    Example:
        >>> document(random.Random(0))[0] in WEIGHTS
        True
    """
    person, person2 = rng.sample(RULES["person"], 2)
    kinds = [weighted(rng, WEIGHTS) for _ in range(3)]
    parts = ["{opening}"]
    for kind in kinds:
        claim = _CLAIMS[kind](rng) if kind in _CLAIMS else ""
        parts.append(expand("{" + kind + "_talk}", bind(_RULES, claim=capitalise(claim)), rng))
    parts.append("{middle}")
    rules = bind(_RULES, person=person, person2=person2)
    return kinds[0], expand(" ".join([*parts, "{ending}"]), rules, rng)
