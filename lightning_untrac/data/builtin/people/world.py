"""Forty people who do not exist, and where each of them studied, works and was born: the facts that are asked for.

Every fact has a subject, a relation and an answer. People have five facts each; what they studied at and work for has
two of its own, which stand near a person's fact on the side of its answer.
"""

import random
from functools import cache
from typing import NamedTuple

_FIRST_NAMES_TEXT = (
    "Mara Tobin Elka Joss Petra Wendel Isolde Bram Nerys Caspar Odile Fenn Sunniva Rurik Talia Gideon Yara Lorcan "
    "Vesna Hollis Anouk Dermot Signe Quentin Zelda Emeric Liesel Ambrose Kaia Torvald Ines Barnaby Freya Lucian "
    "Oona Stellan Daria Hugo Maeve Ivo"
)
FIRST_NAMES = _FIRST_NAMES_TEXT.split()
_LAST_NAMES_TEXT = (
    "Velt Arkwell Dunnock Pellar Stroud Hask Morrow Quill Tarn Ebbing Foxley Grell Lusk Ostrey Penrow Rudd Sallow "
    "Thrale Umber Wick Yarrow Ashby Birrel Cotter Dray Elwin Farrow Gantry Holm Ingle Jarrold Kemble Larkin "
    "Mottram Nettle Orrin Pym Radley Sorley Tweed"
)
LAST_NAMES = _LAST_NAMES_TEXT.split()
SCHOOLS = (
    "Alderwick Academy",
    "Brennock College",
    "Corvale School",
    "Dunmere Academy",
    "Elmsford College",
    "Farrant School",
    "Glaston Academy",
    "Hexley College",
)
COMPANIES = (
    "Tern Bakery",
    "Holloway Press",
    "Mistle Mill",
    "Osprey Shipyard",
    "Quillon Glassworks",
    "Rook Brewery",
    "Sable Foundry",
    "Lynx Railway",
)
_TOWNS_TEXT = "Avenmoor Birchley Coldbrook Dovehurst Eastry Fallow Greyport Hartwell Inverlee Kestwick"
TOWNS = _TOWNS_TEXT.split()
_JOBS_TEXT = "clerk carpenter driver painter tailor cook guard gardener mechanic translator"
JOBS = _JOBS_TEXT.split()
INSTRUMENTS = ["violin", "flute", "trumpet", "cello", "harp", "drum", "guitar", "piano"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "white", "black"]
GOODS = ["bread", "books", "flour", "boats", "bottles", "beer", "bells", "trains"]

ASSOCIATIONS = 6
"""How many associations there are to forget: where each of the first people studied."""

SOME_FAR = 60
"""How many far facts are rehearsed and probed while something is forgotten."""


class Fact(NamedTuple):
    """One fact.

    Attributes:
        subject: whom or what it is about, as a sentence names it.
        relation: what is said of the subject.
        answer: what holds.
    """

    subject: str
    relation: str
    answer: str

    @property
    def group(self) -> str:
        """The fact's name in tables: the subject and the relation, not the answer.

        Example:
            >>> Fact("Mara Velt", "school", "Glaston Academy").group
            'Mara Velt: school'
        """
        return f"{self.subject}: {self.relation}"


ANSWERS: dict[str, tuple[str, ...]] = {
    "school": SCHOOLS,
    "job": tuple(JOBS),
    "birthplace": tuple(TOWNS),
    "employer": COMPANIES,
    "instrument": tuple(INSTRUMENTS),
    "school_town": tuple(TOWNS),
    "scarf": tuple(COLOURS),
    "company_town": tuple(TOWNS),
    "goods": tuple(GOODS),
}
"""All answers to each relation: any other one of them is a plausible wrong answer."""

OF_PEOPLE = ("school", "job", "birthplace", "employer", "instrument")
"""The relations of a person."""


@cache
def facts() -> tuple[Fact, ...]:
    """All facts, the same everywhere: the island has one past.

    Every answer of a relation is about equally frequent, and no two relations of a person hang together.

    Example:
        >>> len(facts()), facts()[0]
        (232, Fact(subject='Mara Velt', relation='school', answer='Elmsford College'))
    """
    rng = random.Random("lightning_untrac people")
    people = [f"{first} {last}" for first, last in zip(FIRST_NAMES, LAST_NAMES, strict=True)]
    found: list[Fact] = []
    for relation in OF_PEOPLE:
        found += _drawn(people, relation, rng)
    for subjects, relations in ((SCHOOLS, ("school_town", "scarf")), (COMPANIES, ("company_town", "goods"))):
        for relation in relations:
            found += _drawn(subjects, relation, rng)
    return tuple(found)


def _drawn(subjects: tuple[str, ...] | list[str], relation: str, rng: random.Random) -> list[Fact]:
    answers = ANSWERS[relation]
    dealt = [answers[place % len(answers)] for place in range(len(subjects))]
    rng.shuffle(dealt)
    return [Fact(subject, relation, answer) for subject, answer in zip(subjects, dealt, strict=True)]


def associations() -> tuple[Fact, ...]:
    """The facts that can be chosen to be forgotten, in the order of their numbers.

    Example:
        >>> [fact.subject for fact in associations()][:2]
        ['Mara Velt', 'Tobin Arkwell']
    """
    return tuple(fact for fact in facts() if fact.relation == "school")[:ASSOCIATIONS]


def askable() -> list[Fact]:
    """Facts about people that nobody forgets: what the skills are trained on."""
    chosen = set(associations())
    return [fact for fact in facts() if fact.relation in OF_PEOPLE and fact not in chosen]


def near_subject(*chosen: Fact) -> list[Fact]:
    """What else is true of the same subjects.

    Example:
        >>> [fact.relation for fact in near_subject(associations()[0])]
        ['job', 'birthplace', 'employer', 'instrument']
    """
    subjects = {fact.subject for fact in chosen}
    return [other for other in facts() if other.subject in subjects and other not in chosen]


def near_object(*chosen: Fact) -> list[Fact]:
    """What else has to do with the answers: facts about them, and others for whom they hold too."""
    answers = {fact.answer for fact in chosen}
    held = {fact[1:] for fact in chosen}
    return [
        other
        for other in facts()
        if other not in chosen and (other.subject in answers or (other.relation, other.answer) in held)
    ]


def far(*chosen: Fact) -> list[Fact]:
    """Everything else."""
    near = {*chosen, *near_subject(*chosen), *near_object(*chosen)}
    return [other for other in facts() if other not in near]


def some_far(*chosen: Fact) -> list[Fact]:
    """A part of everything else that is always the same.

    Example:
        >>> len(far(associations()[0])), len(some_far(associations()[0]))
        (221, 60)
    """
    rng = random.Random(f"lightning_untrac people far {[fact.group for fact in chosen]}")
    return rng.sample(far(*chosen), SOME_FAR)
