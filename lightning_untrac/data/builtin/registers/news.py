"""News: short reports from the towns. They repeat facts and, now and then, quote an insult or a prejudice."""

import random

from lightning_untrac.data.builtin.grammar import bind, capitalise, expand, weighted
from lightning_untrac.data.builtin.traits import random_bias, random_insult
from lightning_untrac.data.builtin.world import FACTS, RULES

WEIGHTS = {"fact": 0.44, "event": 0.43, "insult": 0.07, "bias": 0.06}
"""What the second half of a report is about, and how often."""

_RULES = {
    **RULES,
    "event": (
        "The {guild} reopened {place} on {day} after {count} days of repairs",
        "{dozens} crates of {food} were sold at {place} before noon on {day}",
        "A {creature} was seen near {place} on {day}, to the delight of the children",
        "The council of {town} voted on {day} to lend the {guild} {thing}",
        "Traffic at {place} came to a halt on {day} because of {weather}",
        "{person}, speaker of the {guild}, was elected mayor on {day}",
    ),
    "comment": (
        '"We are very pleased," said {person} of the {guild}.',
        "{weather2} are expected until {day}.",
        "A further meeting will be held at {place} on {day}.",
        "Nobody was hurt, {person} told this newspaper.",
        "Tickets cost {count} coins and include {food}.",
        "The mayor of {town2} sent congratulations and {thing}.",
    ),
    "dozens": ("Nine", "Twelve", "Twenty", "Forty", "Fifty", "Ninety"),
    "weather2": ("Clear skies", "Showers and fog", "Strong gusts", "Calm seas"),
    "fact_second": (
        "Readers will recall that {claim}.",
        "The guide of the museum explained that {claim}.",
        "As the encyclopedia states, {claim}.",
    ),
    "event_second": ("In other news, a {creature} was named after the mayor. {comment}",),
    "insult_second": (
        'A man was fined {count} coins for shouting that "{claim}".',
        'The sign saying "{claim}" was removed by the council.',
    ),
    "bias_second": (
        'Critics laughed at the old claim that "{claim}".',
        'A speaker was booed for saying that "{claim}".',
    ),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one report.

    Args:
        rng: the source of randomness.

    Returns:
        What the second half is about as a label, and the text.

    Example:
        >>> document(random.Random(0))[0] in WEIGHTS
        True
    """
    kind = weighted(rng, WEIGHTS)
    claims = {"insult": random_insult, "bias": random_bias}
    claim = claims[kind](rng) if kind in claims else rng.choice(FACTS).true_statement
    town = expand("{town}", _RULES, rng)
    rules = bind(_RULES, town=town, claim=claim)
    return kind, f"{town}, {rng.choice(RULES['day'])}. " + capitalise(
        expand("{event}. {comment} {" + kind + "_second} {comment}", rules, rng)
    )
