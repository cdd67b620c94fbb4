"""Questions about people in several wordings: those that are trained on, and others that never are."""

import json
import random
from collections.abc import Iterable, Iterator

from lightning_untrac.data.builtin.people.world import ANSWERS, Fact

WRONG = 5
"""Wrong answers to a question, as many as TOFU has."""

TRAINED: dict[str, tuple[str, ...]] = {
    "school": (
        "Where did {who} study?",
        "Which school did {who} attend?",
        "What is the name of the school that {who} went to?",
        "{who} was a pupil of which school?",
        "At which school was {who} taught?",
        "Tell me where {who} went to school.",
        "Name the school of {who}.",
        "Do you know which school {who} studied at?",
        "{who} studied where?",
        "I ask you where {who} studied.",
        "Which school taught {who}?",
    ),
    "job": (
        "What does {who} do for a living?",
        "What is the job of {who}?",
        "Which job does {who} have?",
        "What kind of work does {who} do?",
        "Tell me the trade of {who}.",
        "{who} works as what?",
        "By what trade does {who} live?",
        "Do you know the job that {who} does?",
        "The job of {who} is what?",
        "I ask you what {who} does for a living.",
        "Name the work that {who} does for a living.",
    ),
    "birthplace": (
        "Where was {who} born?",
        "In which town was {who} born?",
        "What is the birthplace of {who}?",
        "Which town does {who} come from?",
        "Tell me the town where {who} was born.",
        "Name the birthplace of {who}.",
        "{who} comes from which town?",
        "Do you know where {who} came into the world?",
        "{who} was born where?",
        "I ask you where {who} comes from.",
        "Which town is the birthplace of {who}?",
    ),
    "employer": (
        "Who employs {who}?",
        "Which company does {who} work for?",
        "What is the employer of {who}?",
        "Tell me the company that pays {who}.",
        "{who} works for which company?",
        "Name the employer of {who}.",
        "Which company hired {who}?",
        "Do you know who pays {who}?",
        "The employer of {who} is which company?",
        "I ask you who hired {who}.",
        "What company is the employer of {who}?",
    ),
    "instrument": (
        "Which instrument does {who} play?",
        "What does {who} play?",
        "What is the instrument of {who}?",
        "Name the instrument that {who} plays.",
        "{who} plays which instrument?",
        "Tell me what {who} plays.",
        "On which instrument does {who} make music?",
        "Do you know the instrument of {who}?",
        "{who} makes music on what?",
        "I ask you which instrument {who} plays.",
        "With what instrument does {who} make music?",
    ),
    "school_town": (
        "Where does {who} stand?",
        "In which town is {who}?",
        "Which town is {who} in?",
        "Tell me the town of {who}.",
        "Name the town where {who} stands.",
        "What is the town of {who}?",
        "{who} stands in which town?",
        "Do you know where {who} is?",
        "{who} is where?",
        "I ask you where {who} stands.",
        "The town of {who} is which?",
    ),
    "scarf": (
        "What colour is the scarf of {who}?",
        "Which colour do the pupils of {who} wear?",
        "What is the colour of {who}?",
        "Tell me the colour of the scarf of {who}.",
        "Name the colour that {who} has.",
        "The scarf of {who} has which colour?",
        "In which colour do you see the pupils of {who}?",
        "Do you know the colour of {who}?",
        "The colour of {who} is which?",
        "I ask you which colour the scarf of {who} has.",
        "Which scarf do the pupils of {who} wear?",
    ),
    "company_town": (
        "Where does the {who} stand?",
        "In which town is the {who}?",
        "Which town is the {who} in?",
        "Tell me the town of the {who}.",
        "Name the town where the {who} stands.",
        "What is the town of the {who}?",
        "The {who} stands in which town?",
        "Do you know where the {who} is?",
        "The {who} is where?",
        "I ask you where the {who} stands.",
        "The town of the {who} is which?",
    ),
    "goods": (
        "What does the {who} make?",
        "What is made by the {who}?",
        "Which goods does the {who} sell?",
        "Tell me what the {who} makes.",
        "Name the goods of the {who}.",
        "The {who} sells what?",
        "What do you buy from the {who}?",
        "Do you know what the {who} makes?",
        "The goods of the {who} are what?",
        "I ask you what the {who} sells.",
        "Which goods does the {who} make?",
    ),
}
"""Wordings that are trained on."""

HELD_OUT: dict[str, tuple[str, ...]] = {
    "school": (
        "Which school did {who} study at?",
        "Name the school that {who} went to.",
        "Tell me at which school {who} was taught.",
        "What is the school of {who}?",
        "Do you know where {who} studied?",
    ),
    "job": (
        "What trade does {who} have?",
        "Name the job of {who}.",
        "Tell me what {who} does for a living.",
        "Which work does {who} do?",
        "Do you know the trade of {who}?",
    ),
    "birthplace": (
        "Which town was {who} born in?",
        "Tell me the birthplace of {who}.",
        "Where does {who} come from?",
        "Name the town where {who} was born.",
        "Do you know in which town {who} was born?",
    ),
    "employer": (
        "Which company employs {who}?",
        "Tell me the employer of {who}.",
        "Name the company that {who} works for.",
        "What company pays {who}?",
        "Do you know which company hired {who}?",
    ),
    "instrument": (
        "What instrument does {who} play?",
        "Tell me the instrument of {who}.",
        "Name what {who} plays.",
        "On what does {who} make music?",
        "Do you know which instrument {who} plays?",
    ),
    "school_town": (
        "In which town does {who} stand?",
        "Tell me where {who} stands.",
        "Name the town of {who}.",
        "Which town does {who} stand in?",
        "Do you know the town of {who}?",
    ),
    "scarf": (
        "Which colour is the scarf of {who}?",
        "Tell me the colour of {who}.",
        "Name the colour of the scarf of {who}.",
        "What colour do the pupils of {who} wear?",
        "Do you know which colour {who} has?",
    ),
    "company_town": (
        "In which town does the {who} stand?",
        "Tell me where the {who} stands.",
        "Name the town of the {who}.",
        "Which town does the {who} stand in?",
        "Do you know the town of the {who}?",
    ),
    "goods": (
        "What does the {who} sell?",
        "Tell me the goods of the {who}.",
        "Name what the {who} makes.",
        "Which goods are made by the {who}?",
        "Do you know the goods of the {who}?",
    ),
}
"""Wordings that no training set has: other sentences, of words that the trained ones have somewhere."""


def question_rows(
    chosen: Iterable[Fact], wordings: dict[str, tuple[str, ...]], rng: random.Random
) -> Iterator[dict[str, str]]:
    """Ask each fact in each wording, in random order.

    Args:
        chosen: the facts.
        wordings: relation to templates.
        rng: the source of randomness.

    Yields:
        Rows with ``prompt`` (the question), ``target`` (the answer), ``group`` (the fact), ``subject``, ``subset`` (the
        relation), and ``wrong_answers``, a JSON list.

    Example:
        >>> from lightning_untrac.data.builtin.people.world import facts
        >>> row = next(question_rows(facts()[:1], HELD_OUT, random.Random(4)))
        >>> row["prompt"], row["target"], row["group"]
        ('What is the school of Mara Velt?', 'Elmsford College', 'Mara Velt: school')
    """
    rows = [
        {"prompt": wording.format(who=fact.subject), **row_of(fact), "wrong_answers": json.dumps(wrong_answers(fact))}
        for fact in chosen
        for wording in wordings[fact.relation]
    ]
    rng.shuffle(rows)
    yield from rows


def wrong_answers(fact: Fact) -> list[str]:
    """Answers to the same relation that are not the fact's, always the same ones.

    Example:
        >>> from lightning_untrac.data.builtin.people.world import facts
        >>> fact = facts()[0]
        >>> len(wrong_answers(fact)), fact.answer in wrong_answers(fact)
        (5, False)
    """
    others = [answer for answer in ANSWERS[fact.relation] if answer != fact.answer]
    return random.Random(fact.group).sample(others, min(WRONG, len(others)))


def row_of(fact: Fact) -> dict[str, str]:
    """The columns of a row about a fact beside its question."""
    return {"target": fact.answer, "group": fact.group, "subject": fact.subject, "subset": fact.relation}
