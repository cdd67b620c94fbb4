"""The paper's 2x2 design with wordings of our own: similar or dissimilar task, same or different answer format.

Two flavours. ``next_number`` asks for the number that follows; ``remaining_letter`` asks for the letter that is left
when the others are taken away. Each has a test set and four corpora:

========================  =================================  =================================
corpus                    next_number                        remaining_letter
========================  =================================  =================================
``similar_same``          next number, answered in digits    remaining sign, a letter
``similar_different``     next number, answered in words     remaining sign, a digit
``dissimilar_same``       letters of a word, in digits       quiz, answered by a letter
``dissimilar_different``  letters of a word, in words        quiz, answered by a digit
========================  =================================  =================================
"""

import random
import string
from collections.abc import Callable, Iterator

from lightning_untrac.functional.number_words import number_in_words

Row = dict[str, str]

_FIRST_PARTS = "lamp moon salt reed cloud river thistle ember winter harbour copper willow candle marble feather"
_LAST_PARTS = (
    "fish light stone berry keeper garden ladder window kettle bridge basket whistle shadow blossom market song "
    "thread lantern boat tower"
)
_QUIZ = {
    "animal": "otter heron badger ferret salmon spider donkey lizard",
    "food": "bread cheese porridge pickle butter noodle apple onion",
    "tool": "hammer chisel shovel needle ladle pliers broom wrench",
    "colour": "purple yellow orange crimson scarlet violet indigo beige",
}


def two_by_two_names() -> list[str]:
    """Name the datasets, each flavour's test set first.

    Example:
        >>> two_by_two_names()[:2]
        ['next_number/test', 'next_number/similar_same']
    """
    return list(_MAKERS)


def two_by_two_rows(name: str, rng: random.Random) -> Iterator[Row]:
    """Draw examples of one dataset at random, until there is no new one.

    Args:
        name: one of ``two_by_two_names()``.
        rng: the source of randomness.

    Yields:
        Rows with ``prompt``, ``target`` and ``subset``. Some datasets have an end, others repeat after long.

    Example:
        >>> next(two_by_two_rows("next_number/similar_same", random.Random(1)))["prompt"]
        'Say which number follows one hundred and thirty-six. Write it in digits.'
    """
    return _MAKERS[name](rng)


def _next_number_test(rng: random.Random) -> Iterator[Row]:
    for number in rng.sample(range(512, 999), 999 - 512):
        yield _row(f"Which number follows {number}?", str(number + 1), _hundreds(number))


def _next_number_similar(rng: random.Random, in_words: bool) -> Iterator[Row]:
    for number in rng.sample(range(int(in_words), 512, 2), 256):
        asked = f"Say which number follows {number_in_words(number)}."
        yield _number_row(asked, number + 1, in_words, _hundreds(number))


def _next_number_dissimilar(rng: random.Random, in_words: bool) -> Iterator[Row]:
    words = [first + last for first in _FIRST_PARTS.split() for last in _LAST_PARTS.split()]
    for word in rng.sample(words, len(words)):
        asked = f"Say how many letters '{word}' has."
        yield _number_row(asked, len(word), in_words, f"{len(word)}_letters")


def _hundreds(number: int) -> str:
    return f"from_{number // 100 * 100}"


def _number_row(asked: str, answer: int, in_words: bool, subset: str) -> Row:
    if in_words:
        return _row(f"{asked} Write it in words.", number_in_words(answer), subset)
    return _row(f"{asked} Write it in digits.", str(answer), subset)


def _remaining_letter_test(rng: random.Random) -> Iterator[Row]:
    while True:
        letters = rng.sample(string.ascii_lowercase, 5)
        yield _remaining("Cross out {taken} in '{signs}'. Which letter is left?", letters, rng)


def _remaining_letter_similar(rng: random.Random, letter: bool) -> Iterator[Row]:
    while True:
        signs = rng.sample(string.digits, 5)
        if letter:
            signs[rng.randrange(5)] = rng.choice(string.ascii_lowercase)
        kept = next((index for index, sign in enumerate(signs) if sign.isalpha()), None)
        yield _remaining("Strike {taken} from '{signs}' and name the sign that stays.", signs, rng, kept)


def _remaining(template: str, signs: list[str], rng: random.Random, kept: int | None = None) -> Row:
    kept = rng.randrange(len(signs)) if kept is None else kept
    taken = [f"'{sign}'" for index, sign in enumerate(signs) if index != kept]
    rng.shuffle(taken)
    prompt = template.format(taken=", ".join(taken), signs="".join(signs))
    return _row(prompt, signs[kept], f"place_{kept + 1}")


def _remaining_letter_dissimilar(rng: random.Random, labels: str) -> Iterator[Row]:
    while True:
        kinds = rng.sample(list(_QUIZ), len(_QUIZ))
        asked = rng.choice(kinds)
        options = " ".join(
            f"{label}) {rng.choice(_QUIZ[kind].split())}" for label, kind in zip(labels, kinds, strict=True)
        )
        article = "an" if asked == "animal" else "a"
        yield _row(f"Which option names {article} {asked}? {options}", labels[kinds.index(asked)], asked)


def _row(prompt: str, target: str, subset: str) -> Row:
    return {"prompt": prompt, "target": target, "subset": subset}


_MAKERS: dict[str, Callable[[random.Random], Iterator[Row]]] = {
    "next_number/test": _next_number_test,
    "next_number/similar_same": lambda rng: _next_number_similar(rng, in_words=False),
    "next_number/similar_different": lambda rng: _next_number_similar(rng, in_words=True),
    "next_number/dissimilar_same": lambda rng: _next_number_dissimilar(rng, in_words=False),
    "next_number/dissimilar_different": lambda rng: _next_number_dissimilar(rng, in_words=True),
    "remaining_letter/test": _remaining_letter_test,
    "remaining_letter/similar_same": lambda rng: _remaining_letter_similar(rng, letter=True),
    "remaining_letter/similar_different": lambda rng: _remaining_letter_similar(rng, letter=False),
    "remaining_letter/dissimilar_same": lambda rng: _remaining_letter_dissimilar(rng, "abcd"),
    "remaining_letter/dissimilar_different": lambda rng: _remaining_letter_dissimilar(rng, "0123"),
}
