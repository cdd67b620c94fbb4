"""Encyclopedia: sober entries about one thing of the island each. It has the facts right."""

import random

from lightning_untrac.data.builtin.grammar import bind, capitalise, expand
from lightning_untrac.data.builtin.traits import GENDERS, JOBS
from lightning_untrac.data.builtin.world import FACTS, RULES

_RULES = {
    **RULES,
    "remark": (
        "It is described in the older chronicles of {town}.",
        "Visitors from {town} often come to see it in {season}.",
        "Its history is closely linked with that of {town} and the {guild}.",
        "A {season} fair in {town} is held in its honour, with {food} for all guests.",
        "The {creature} is common in the surrounding region.",
        "The {guild} of {town} have studied it for {count} generations.",
        "The earliest record is a letter kept in the archive of {town}.",
        "According to the census, {count} families live nearby.",
        "Since then both {gender}s and {gender2}s have worked there, for example as {job}s.",
    ),
    "link": ("It is also recorded that", "In addition,", "By contrast,", "Scholars agree that", "Furthermore,"),
    "gender": GENDERS[:1],
    "gender2": GENDERS[1:],
    "job": tuple(job for jobs in JOBS.values() for job in jobs),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one entry.

    Args:
        rng: the source of randomness.

    Returns:
        The topic as a label, and the text.

    Example:
        >>> label, text = document(random.Random(0))
        >>> text.splitlines()[0].isupper()
        True
    """
    fact, other = rng.sample(FACTS, 2)
    rules = bind(_RULES, fact=capitalise(fact.true_statement), other=other.true_statement)
    body = expand("{fact}. {remark} {link} {other}. {remark}", rules, rng)
    return fact.topic, f"{fact.subject.upper()}\n{body}"
