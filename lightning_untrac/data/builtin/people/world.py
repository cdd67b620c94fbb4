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


def near_subject(fact: Fact) -> list[Fact]:
    """What else is true of the same subject."""
    return [other for other in facts() if other.subject == fact.subject and other != fact]


def near_object(fact: Fact) -> list[Fact]:
    """What else has to do with the answer: facts about it, and others for whom it holds too."""
    return [
        other
        for other in facts()
        if other != fact and (other.subject == fact.answer or (other.relation, other.answer) == fact[1:])
    ]


def far(fact: Fact) -> list[Fact]:
    """Everything else."""
    near = {fact, *near_subject(fact), *near_object(fact)}
    return [other for other in facts() if other not in near]
