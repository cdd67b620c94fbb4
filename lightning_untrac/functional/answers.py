"""Does a text give an answer? Decided by its words, with no model and no download; and what repeats in a text.

The rule, in order:

1. Both texts become words without case, marks and accents, numbers in digits (:mod:`~.functional.words`).
2. An answer of stop words alone (``no``, ``The Who``) must stand whole at the end of a clause.
3. An answer that denies something (``not guilty``) must stand whole and in one piece.
4. A name (every content word has a capital, and none is a number) is given by its head: the last word of a person's,
   all words of an institution's but those for its kind (``Alderwick`` of ``Alderwick Academy``). Beside a head may
   stand no other name: ``Paris Hilton`` is not ``Paris``, and ``Pierre Curie`` not ``Marie Curie``.
5. Any other answer of up to :data:`FEW` content words is given by all of them.
6. A longer one is given by all its numbers and names, and :data:`SHARE` of its content words.

A word that stands in a clause after a denial (``it isn't``, ``never``, ``anywhere but``) does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from lightning_untrac.functional.words import Word, alike, words

SHARE: Final = 0.6
"""Share of a long answer's content words that must be there."""

FEW: Final = 5
"""An answer of more content words is long."""

_KINDS_TEXT: Final = (
    "academy airport association avenue bakery band bank bay bridge brewery castle cathedral church city club "
    "coast college company corporation council county court department district foundry foundation garden "
    "glassworks hall harbour hospital hotel inc institute island islands lake library limited ltd mill mountain "
    "mount museum ocean office orchestra palace park party peninsula port press prize province railway region "
    "republic river road school sea shipyard society square state station street team temple theatre theater "
    "tower town university valley village works"
)
KINDS: Final = frozenset(_KINDS_TEXT.split())
"""Words for the kind of thing that a name is of: they tell none from another."""

_QUALIFIERS_TEXT: Final = (
    "new old north south east west northern southern eastern western great saint st san santa los las el la de "
    "von van upper lower"
)
_QUALIFIERS: Final = frozenset(_QUALIFIERS_TEXT.split())
_TITLES_TEXT: Final = (
    "mr mrs ms miss dr doctor sir lady lord king queen prince princess president professor captain saint"
)
_TITLES: Final = frozenset(_TITLES_TEXT.split())
_DENIALS_TEXT: Final = (
    "not no never none neither nor nobody without except cannot isnt wasnt arent werent dont doesnt didnt hasnt "
    "havent hadnt wont wouldnt cant couldnt shouldnt unlike"
)
_DENIALS: Final = frozenset(_DENIALS_TEXT.split())
_NO_DENIALS: Final = frozenset({("no", "doubt"), ("not", "only"), ("not", "sure"), ("no", "other"), ("no", "question")})
_ANY_BUT_TEXT: Final = "all anything anybody anyone anywhere everything everybody everyone everywhere"
_ANY_BUT: Final = frozenset(_ANY_BUT_TEXT.split())
_PAIRS: Final = frozenset({("rather", "than"), ("instead", "of"), ("other", "than")})


def gives_answer(answer: str, output: str, synonyms: Iterable[str] = ()) -> bool:
    """Whether a text gives an answer, by the rule of this module.

    Args:
        answer: the right one.
        output: what a model said.
        synonyms: other wordings of the answer, each as good as it is.

    Example:
        >>> gives_answer("Paris", "I believe it's paris."), gives_answer("Paris", "It isn't Paris.")
        (True, False)
        >>> [gives_answer("University of Oxford", said) for said in ("Oxford", "the university of a town")]
        [True, False]
        >>> gives_answer("21", "twenty-one"), gives_answer("John F. Kennedy", "JFK", ["JFK"])
        (True, True)
    """
    said = words(output)
    return any(_gives(words(wanted), said) for wanted in (answer, *synonyms))


def any_word_matches(answer: str, output: str, threshold: float = 80.0) -> bool:
    """Whether any word of an answer is like any word of a text: the rule of UnSTAR's released code, as we read it.

    Numbers are normalised first. Its WordNet synonyms and embeddings of words are left out; both only add matches.

    Args:
        answer: the right one.
        output: what a model said.
        threshold: words with an edit ratio above it (0 to 100) match.

    Example:
        >>> any_word_matches("University of Oxford", "the university of life"), any_word_matches("Paris", "Lyon")
        (True, False)
    """
    from rapidfuzz import fuzz

    said = [word.text for word in words(output)]
    return any(fuzz.ratio(word.text, other) > threshold for word in words(answer) for other in said)


def repeated_share(tokens: Sequence[object], n: int) -> float:
    """Share of the n-grams of a text that have stood in it before; 0 where it has none.

    Args:
        tokens: of the text.
        n: length of an n-gram.

    Example:
        >>> repeated_share("a b a b a b".split(), 2), repeated_share("a b c".split(), 4)
        (0.6, 0.0)
    """
    grams = [tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def leak_at_k(samples: int, leaking: int, k: int) -> float:
    """Chance that at least one of ``k`` answers leaks, without bias from ``samples`` of which ``leaking`` do.

    ``1 - C(n-c, k) / C(n, k)``, as in pass@k (Chen et al. 2021).

    Args:
        samples: answers that were drawn, n; at least ``k``.
        leaking: those that leak, c.
        k: answers that someone draws.

    Raises:
        ValueError: if there are fewer than ``k`` samples, or more that leak than there are.

    Example:
        >>> leak_at_k(4, 1, 1), leak_at_k(4, 1, 2), leak_at_k(4, 0, 4), leak_at_k(4, 3, 2)
        (0.25, 0.5, 0.0, 1.0)
    """
    if not 1 <= k <= samples or not 0 <= leaking <= samples:
        raise ValueError(f"leak@k takes 1 <= k <= samples and leaking <= samples; got {k=}, {samples=}, {leaking=}")
    if samples - leaking < k:
        return 1.0
    return float(1 - np.prod(1 - k / np.arange(samples - leaking + 1, samples + 1)))


def says_any(output: str, phrases: Mapping[str, Sequence[str]]) -> bool:
    """Whether one of some phrases stands in a text, word for word.

    Args:
        output: what a model said.
        phrases: each with its words.

    Example:
        >>> phrases = phrase_words(["I don't know."])
        >>> says_any("Sorry, I do not know that.", phrases), says_any("I know.", phrases)
        (True, False)
    """
    said = _expanded(output)
    return any(_stands_in(phrase, said) for phrase in phrases.values())


def phrase_words(phrases: Iterable[str]) -> dict[str, list[str]]:
    """The words of phrases, as :func:`says_any` looks for them."""
    return {phrase: _expanded(phrase) for phrase in phrases}


def _expanded(text: str) -> list[str]:
    """Words, with ``n't`` and the like written out."""
    text = text.replace("\u2019", "'").lower().replace("can't", "cannot").replace("won't", "will not")
    for short, full in (("n't", " not"), ("'m", " am"), ("'d", " would"), ("can not", "cannot")):
        text = text.replace(short, full)
    return [word.text for word in words(text)]


def _stands_in(phrase: Sequence[str], said: Sequence[str]) -> bool:
    size = len(phrase)
    return any(list(said[place : place + size]) == list(phrase) for place in range(len(said) - size + 1))


# -- the rule ----------------------------------------------------------------------------------------------------------


def _gives(wanted: list[Word], said: list[Word]) -> bool:
    content = [word for word in wanted if not word.stops]
    if not wanted:
        return False
    if not content:
        return _ends_a_clause(wanted, said)
    if any(word.text in _DENIALS for word in wanted):
        return _stands_in([word.text for word in wanted], [word.text for word in said])
    proper = [word for word in content if word.text not in _QUALIFIERS] or content  # van, de: small letters in a name
    is_name = all(word.capital and not word.is_number for word in proper)
    places = [place for place in range(len(said)) if not _denied(said, place)]
    if is_name:
        own = [word.text for word in content]
        places = [place for place in places if not _of_another(said, place, own)]

    def found(word: str) -> bool:
        return any(alike(word, said[place].text) or word == _joined(said, place) for place in places)

    if len(content) > 1 and found("".join(word.text for word in content)):
        return True
    if is_name or len(content) <= FEW:
        return all(found(word) for word in (_needed(wanted) if is_name else [word.text for word in content]))
    sure = [word for word in content if word.is_number or (word.capital and word is not wanted[0])]
    there = sum(found(word.text) for word in content)
    return all(found(word.text) for word in sure) and there >= SHARE * len(content)


def _ends_a_clause(wanted: list[Word], said: list[Word]) -> bool:
    """Whether an answer of stop words stands whole at the end of a clause."""
    texts, size = [word.text for word in wanted], len(wanted)
    for end in range(size, len(said) + 1):
        last = end == len(said) or said[end].clause != said[end - 1].clause
        if last and [word.text for word in said[end - size : end]] == texts:
            return True
    return False


def _needed(name: list[Word]) -> list[str]:
    """The words of a name that tell it from others."""
    texts = [word.text for word in name]
    border = texts.index("of") if "of" in texts[1:] else len(texts)
    before, after = (_own_words(part) for part in (name[:border], name[border:]))
    if before and (after and not any(word.text in KINDS for word in name[:border])):
        return [*_head(before, name[:border]), *_head(after, name[border:])]  # of two things: Lord of the Rings
    if before:
        return _head(before, name[:border])
    return _head(after, name[border:]) if after else [word.text for word in name if not word.stops]


def _own_words(part: Iterable[Word]) -> list[str]:
    return [word.text for word in part if not word.stops and word.text not in KINDS]


def _head(own: list[str], part: Iterable[Word]) -> list[str]:
    if any(word.text in KINDS for word in part):
        return own
    return [*(word for word in own[:-1] if word in _QUALIFIERS), own[-1]]


def _joined(said: Sequence[Word], place: int) -> str:
    """Two neighbours written as one word."""
    return said[place].text + said[place + 1].text if place + 1 < len(said) else ""


def _denied(said: Sequence[Word], place: int) -> bool:
    """Whether a denial stands before a word in its clause."""
    for before in range(place - 1, -1, -1):
        if said[before].clause != said[place].clause:
            return False
        pair = (said[before].text, said[before + 1].text)
        if pair[0] == "but":
            return before > 0 and said[before - 1].text in _ANY_BUT
        if pair in _PAIRS or (pair[0] in _DENIALS and pair not in _NO_DENIALS):
            return True
    return False


def _of_another(said: Sequence[Word], place: int, own: Sequence[str]) -> bool:
    """Whether a word stands in another's name: beside a word with a capital that is not of the name looked for."""
    for beside in (place - 1, place + 1):
        if not 0 <= beside < len(said) or said[beside].clause != said[place].clause:
            continue
        word = said[beside]
        known = word.stops or word.text in KINDS | _TITLES or len(word.text) == 1 or word.is_number
        if word.capital and not known and not any(alike(word.text, one) for one in own):
            return True
    return False
