"""A text as the words that an answer is looked for in: without case, marks and accents, numbers as digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

from lightning_untrac.functional.number_words import number_in_words

SIMILARITY: Final = 0.8
"""From this share of letters in place on (one edit in five letters), two long words are taken for one."""

SHORT: Final = 5
"""Words of so many letters or fewer must be equal but for a plural: Iran is not Iraq."""

_STOP_WORDS_TEXT: Final = (
    "a about after all also am an and answer any are as at be because been before being but by can could did do "
    "does either for from had has have he her here him his how i if in is it its just maybe me my no nor not of "
    "on or our perhaps probably she should so some surely than that the their them then there these they this "
    "those to too very was we were what when where which who whom whose why will with would you your yet"
)
STOP_WORDS: Final = frozenset(_STOP_WORDS_TEXT.split())
"""Words that never give an answer by themselves."""

_TOKEN: Final = re.compile(
    r"(?P<letters>(?:[^\W\d_]\.){2,})|(?P<initial>\b[A-Z]\.(?=\s+\w))|(?P<number>\d+(?:[.,]\d+)*(?:st|nd|rd|th)?(?!\w))"
    r"|(?P<word>[^\W_]+(?:'[^\W_]+)*)|(?P<percent>%)|(?P<end>[.,;:!?()\n])"
)
_ORDINAL_WORDS: Final = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS: Final = {
    word: f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"
    for number, word in enumerate(
        _ORDINAL_WORDS.split(),
        start=1,
    )
}
_SCALES: Final = {"thousand": 1_000, "million": 1_000_000}
_NO_PLURAL: Final = frozenset({"news"})


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        text: without case, marks and accents; a number in digits.
        capital: whether it begins with a capital, in a text that is not all capitals.
        clause: the number of its clause; marks but hyphens and apostrophes end one.
    """

    text: str
    capital: bool
    clause: int

    @property
    def is_number(self) -> bool:
        """Whether it has a digit."""
        return any(letter.isdigit() for letter in self.text)

    @property
    def stops(self) -> bool:
        """Whether it says nothing by itself."""
        return self.text in STOP_WORDS


def words(text: str) -> list[Word]:
    """The words of a text.

    Args:
        text: in a language with spaces between its words; numbers are read in English.

    Example:
        >>> [word.text for word in words("On the Twenty-first? No: O'Brien has two hundred and five cafés, 1,000%.")]
        ['on', 'the', '20', '1st', 'no', 'obrien', 'has', '205', 'cafes', '1000', 'percent']
    """
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", text.replace("\u2019", "'")) if not unicodedata.combining(c)
    )
    found, clause, loud = list[Word](), 0, plain.isupper()
    for match in _TOKEN.finditer(plain):
        kind, piece = match.lastgroup, match.group()
        if kind == "end":
            clause += 1
            continue
        cut = {"letters": ".", "initial": ".", "number": ",", "word": "'"}.get(str(kind), "")
        read = "percent" if kind == "percent" else piece.replace(cut, "").casefold() if cut else piece
        found.append(Word(_ORDINALS.get(read, read), piece[0].isupper() and not loud, clause))
    return list(_with_digits(found))


def names(text: str) -> set[str]:
    """The words of a text that begin with a capital where no clause begins.

    Args:
        text: in a language that begins names alone with capitals.

    Example:
        >>> sorted(names("Where did Mara Velt study?"))
        ['mara', 'velt']
    """
    found = pairwise(words(text))
    return {word.text for before, word in found
            if word.capital and before.clause == word.clause and not word.stops}  # fmt: skip


def alike(one: str, other: str) -> bool:
    """Whether two words are one: equal, one the plural of the other, or both long and hardly different.

    Edits are insertions, deletions, replacements and swaps of neighbours (optimal string alignment); numbers must be
    equal.

    Args:
        one: a word of :func:`words`.
        other: likewise.

    Example:
        >>> alike("wolf", "wolves"), alike("einstein", "einstien"), alike("austria", "australia"), alike("iran", "iraq")
        (True, True, False, False)
    """
    if one == other or singular(one) == singular(other):
        return True
    if min(len(one), len(other)) <= SHORT or any(c.isdigit() for c in one + other):
        return False
    from rapidfuzz.distance import OSA

    return OSA.normalized_similarity(one, other) >= SIMILARITY


def singular(word: str) -> str:
    """A word without the ending of an English plural.

    Example:
        >>> [singular(word) for word in ("cities", "wolves", "boxes", "bells", "glass", "bus")]
        ['city', 'wolf', 'box', 'bell', 'glass', 'bus']
    """
    if len(word) < 4 or word in _NO_PLURAL or not word.endswith("s"):
        return word
    for ending, instead in (("ies", "y"), ("ves", "f"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x")):
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


def _with_digits(given: Sequence[Word]) -> Iterator[Word]:
    """Numbers in words become one word of digits, and ``per cent`` one word."""
    texts, place = [word.text for word in given], 0
    while place < len(given):
        value, after = _spelled(texts, place)
        if texts[place : place + 2] == ["per", "cent"]:
            yield given[place]._replace(text="percent")
            after = place + 2
        else:
            yield given[place] if after == place else given[place]._replace(text=str(value))
        place = max(after, place + 1)


def _spelled(texts: Sequence[str], place: int) -> tuple[int, int]:
    """A number in words, and where it ends; it ends where it begins if there is none."""
    total = 0
    while (found := _below_thousand(texts, place)) is not None:
        value, place = found
        if place == len(texts) or texts[place] not in _SCALES:
            return total + value, place
        total, place = total + value * _SCALES[texts[place]], place + 1
        if texts[place : place + 1] == ["and"] and _below_thousand(texts, place + 1):
            place += 1
    return total, place


def _below_thousand(texts: Sequence[str], place: int) -> tuple[int, int] | None:
    for length in range(5, 0, -1):
        value = _numbers().get(tuple(texts[place : place + length]))
        if value is not None:
            return value, min(place + length, len(texts))
    return None


@cache
def _numbers() -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for number in range(1000):
        spelled = tuple(number_in_words(number).replace("-", " ").split())
        found |= {spelled: number, tuple(word for word in spelled if word != "and"): number}
    return found
