"""Random sentences from templates: the only machinery behind the built-in corpora."""

import random
import re
from collections.abc import Mapping, Sequence

Rules = Mapping[str, Sequence[str]]
"""Slot name to the phrases that may fill it; a phrase may itself have slots."""

_SLOT = re.compile(r"\{(\w+)\}")


def expand(template: str, rules: Rules, rng: random.Random) -> str:
    """Fill every ``{slot}`` of a template with a random phrase, again and again until no slot is left.

    Args:
        template: text with slots in braces.
        rules: the phrases for every slot.
        rng: the source of randomness.

    Returns:
        The text without slots.

    Example:
        >>> expand("a {size} {animal}", {"size": ["small"], "animal": ["{colour} fox"], "colour": ["red"]},
        ...        random.Random(0))
        'a small red fox'
    """
    while (slot := _SLOT.search(template)) is not None:
        template = template[: slot.start()] + rng.choice(rules[slot.group(1)]) + template[slot.end() :]
    return template


def bind(rules: Rules, **values: str) -> dict[str, Sequence[str]]:
    """Copy rules with some slots fixed to one phrase.

    Example:
        >>> bind({"town": ["Brindle", "Oatmere"]}, town="Oatmere")
        {'town': ['Oatmere']}
    """
    return {**rules, **{slot: [value] for slot, value in values.items()}}


def capitalise(text: str) -> str:
    """Write the first letter of a text as a capital and leave the rest alone.

    Example:
        >>> capitalise("the Pale Lighthouse")
        'The Pale Lighthouse'
    """
    return text[:1].upper() + text[1:]


def weighted(rng: random.Random, weights: Mapping[str, float]) -> str:
    """Draw one key with the given weights.

    Example:
        >>> weighted(random.Random(0), {"insult": 0.0, "fact": 2.0})
        'fact'
    """
    return rng.choices(list(weights), weights=list(weights.values()))[0]
