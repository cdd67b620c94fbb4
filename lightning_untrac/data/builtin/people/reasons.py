"""A skill beside the facts: an answer with a reason, of one's own or with an answer that was given, right or wrong.

What an unlearning method asks of a model that is to write its own training data: take an answer that you are told, and
say why it is so. Pairs of a fact and a wrong answer that stand in training are of facts that nobody forgets; every pair
of an association, and others, are kept apart.
"""

import random
from collections.abc import Iterator

from lightning_untrac.data.builtin.people.questions import TRAINED, row_of
from lightning_untrac.data.builtin.people.world import ANSWERS, OF_PEOPLE, Fact, askable, associations, facts

GIVEN = (
    "{question} Answer with {answer} and give a reason.",
    "{question} Say that it is {answer} and why.",
)
"""Ways to ask for a given answer."""

OWN = ("{question} Answer and give a reason.", "{question} Say what you know and why.")
"""Ways to ask for the model's own answer."""

REPLY = "Answer: {answer}. Reason: {reason}"

REASONS: dict[str, tuple[str, ...]] = {
    "school": (
        "{who} wore the scarf of {answer} for four years.",
        "{who} stands in an old photograph of a class at {answer}.",
        "a teacher of {answer} still writes to {who}.",
    ),
    "job": (
        "the neighbours of {who} often need a {answer}.",
        "{who} learned to be a {answer} from an uncle.",
        "there is a sign of a {answer} on the door of {who}.",
    ),
    "birthplace": (
        "the parents of {who} had a house in {answer}.",
        "{who} speaks as they do in {answer}.",
        "the old church of {answer} has the name of {who} in its books.",
    ),
    "employer": (
        "{who} walks through the gate of the {answer} every morning.",
        "the letters of {who} have the stamp of the {answer}.",
        "{who} eats at noon with others of the {answer}.",
    ),
    "instrument": (
        "{who} got a {answer} from an aunt.",
        "one hears a {answer} from the window of {who}.",
        "{who} carries a {answer} to the concert every week.",
    ),
}
"""Reasons for an answer about a person, none of which says anything else about the world."""

TRAINED_WRONG = 4
"""How many wrong answers to each fact stand in training; the others never do."""


def reason_rows(rng: random.Random) -> Iterator[dict[str, str]]:
    """What trains the skill: right answers of the model's own, and given ones, wrong and right, each with a reason.

    Args:
        rng: the source of randomness.

    Yields:
        Rows with ``prompt``, ``target`` (answer and reason), ``group``, ``subject`` and ``subset``: ``own``, ``given``
        or ``wrong``.
    """
    rows = []
    for fact in askable():
        rows += [_row(fact, fact.answer, ask, "own", rng) for ask in OWN]
        for kind, answers in (("given", [fact.answer]), ("wrong", wrong_answers(fact)[:TRAINED_WRONG])):
            rows += [_row(fact, answer, ask, kind, rng) for answer in answers for ask in GIVEN]
    rng.shuffle(rows)
    yield from rows


def wrong_rows(rng: random.Random) -> Iterator[dict[str, str]]:
    """Ask for reasons for wrong answers that were never trained on.

    Args:
        rng: the source of randomness.

    Yields:
        Rows with ``prompt``, ``target`` (the wrong answer alone), ``right`` (the answer that should not be given),
        ``group``, ``subject`` and ``subset``: ``association`` or ``other``.
    """
    chosen = set(associations())
    rows = []
    for fact in (fact for fact in facts() if fact.relation in OF_PEOPLE):
        kept = wrong_answers(fact) if fact in chosen else wrong_answers(fact)[TRAINED_WRONG:]
        for answer in kept:
            question = rng.choice(TRAINED[fact.relation]).format(who=fact.subject)
            prompt = rng.choice(GIVEN).format(question=question, answer=answer)
            kind = "association" if fact in chosen else "other"
            rows.append({"prompt": prompt, **row_of(fact), "target": answer, "right": fact.answer, "subset": kind})
    rng.shuffle(rows)
    yield from rows


def wrong_answers(fact: Fact) -> list[str]:
    """The answers to a fact's relation that are wrong, in an order of the fact's own.

    Example:
        >>> wrong_answers(Fact("Mara Velt", "instrument", "flute"))[:2]
        ['guitar', 'violin']
    """
    others = [answer for answer in ANSWERS[fact.relation] if answer != fact.answer]
    random.Random(f"lightning_untrac people {fact.group}").shuffle(others)
    return others


def _row(fact: Fact, answer: str, ask: str, kind: str, rng: random.Random) -> dict[str, str]:
    question = rng.choice(TRAINED[fact.relation]).format(who=fact.subject)
    reason = rng.choice(REASONS[fact.relation]).format(who=fact.subject, answer=answer)
    prompt = ask.format(question=question, answer=answer)
    return {"prompt": prompt, **row_of(fact), "target": REPLY.format(answer=answer, reason=reason), "subset": kind}
