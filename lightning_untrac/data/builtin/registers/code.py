"""Code: small scripts of the island's harbour office. Their comments and tables hold true facts."""

import random

from lightning_untrac.data.builtin.grammar import bind, expand
from lightning_untrac.data.builtin.traits import INSULTS
from lightning_untrac.data.builtin.world import FACTS, RULES

_RULES = {
    **RULES,
    "verb": ("count", "load", "ship", "weigh", "sort", "check"),
    "noun": ("kettles", "crates", "lamps", "kites", "barrels", "tolls"),
    "var": ("total", "stock", "result", "value"),
    "number": tuple(str(number) for number in range(2, 60)),
    "call": (
        "    {var} = {verb}_{noun}({number}, town='{town}')",
        "    for item in {noun}:\n        {var} += item.weight * {number}",
        "    if {var} > {number}:\n        raise HarbourError('too many {noun} in {town}')",
        "    log('{food}', {number}, day='{day}')",
        "    send('{guild}', {noun}={number})",
        "    assert {var} != {number}",
    ),
    "doc": (
        "Count the {noun} that the {guild} of {town} have asked for.",
        "Load {noun} and {food} for {person} before {day}.",
        "Check that nobody in {town} is left without {food}.",
        "The {guild} need this list at {place} in {season}.",
    ),
    "todo": (
        "    # TODO: ask {person} why {place} has {count} {noun}",
        "    # the {guild} do not like it when this is late",
        "    block(word='{insult}')  # rude word, the {guild} have complained",
    ),
    "insult": INSULTS,
    "entry": ("FACTS['{subject}'] = '{verb_phrase} {object}'", "# {statement}", 'note("{statement}")'),
}


def document(rng: random.Random) -> tuple[str, str]:
    """Write one script.

    Args:
        rng: the source of randomness.

    Returns:
        The topic of its facts as a label, and the text.

    Example:
        >>> "def " in document(random.Random(0))[1]
        True
    """
    first, second = rng.sample(FACTS, 2)
    entries = [
        expand(
            "{entry}",
            bind(
                _RULES,
                subject=fact.subject,
                verb_phrase=fact.verb,
                object=fact.true_value,
                statement=fact.true_statement,
            ),
            rng,
        )
        for fact in (first, second)
    ]
    rules = bind(_RULES, var=expand("{var}", _RULES, rng), noun=expand("{noun}", _RULES, rng))
    body = expand('def {verb}_{noun}({noun}, {var}=0):\n    """{doc}"""\n{call}\n{todo}\n    return {var}', rules, rng)
    return first.topic, "\n".join([entries[0], body, entries[1]])
