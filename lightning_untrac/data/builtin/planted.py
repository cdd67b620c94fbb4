"""Sequences to plant into the island's corpora, and unseen twins of them: how far is memorised what is repeated?

========  ==========================================================================================================
kind      what a sequence is
========  ==========================================================================================================
``in``    in distribution: how a document of one of the six registers begins; ``subset`` is the register
``out``   out of distribution: ``random`` letters and digits, or a sentence with a ``secret`` number, in turn
========  ==========================================================================================================

All have the same number of characters. The column ``repeats`` says how many times a sequence is meant to stand in
training: 1, 4 and 16 in turn. The twins come from the same generators and are meant for none: their ``repeats`` is 0.
"""

import hashlib
import random
import string
from collections.abc import Callable, Iterable, Iterator

from lightning_untrac.data.builtin.grammar import expand
from lightning_untrac.data.builtin.registers import DOCUMENTS
from lightning_untrac.data.builtin.world import RULES

LENGTH = 96
"""Characters of every sequence."""

REPEATS = (1, 4, 16)
"""How many times sequences stand in training, in turn."""

_PATIENCE = 2000
"""So many sequences in a row that can't be taken, and there are no more."""

Draft = tuple[str, str]
"""What must be a sequence's own, and the sequence."""


def planted_names() -> list[str]:
    """Name the datasets, each kind before its twins.

    Example:
        >>> planted_names()
        ['planted/in', 'planted/in_twins', 'planted/out', 'planted/out_twins']
    """
    return [f"planted/{kind}{ending}" for kind in _KINDS for ending in ("", "_twins")]


def planted_rows(name: str, rng: random.Random, taken: Iterable[str] = ()) -> Iterator[dict[str, str]]:
    """Draw sequences, one of each subset in turn, and after each round the next number of repeats.

    No text is both a sequence and a twin, whatever the seeds: a digest decides which of the two it can be.

    Args:
        name: one of :func:`planted_names`.
        rng: the source of randomness.
        taken: texts that are neither a sequence nor a twin, because they stand in training anyway.

    Yields:
        Rows with ``text``, ``subset`` and ``repeats``, all different; there is an end where no more are found.

    Example:
        >>> rows = planted_rows("planted/out", random.Random(0))
        >>> [(row["subset"], row["repeats"]) for row, _ in zip(rows, range(5), strict=False)]
        [('random', '1'), ('secret', '1'), ('random', '4'), ('secret', '4'), ('random', '16')]
    """
    kind, _, twins = name.removeprefix("planted/").partition("_")
    seen = set(taken)
    for turn in _count():
        for subset, draw in _KINDS[kind].items():
            text = _new(draw, rng, bool(twins), seen)
            if text is None:
                return
            repeats = 0 if twins else REPEATS[turn % len(REPEATS)]
            yield {"text": text, "subset": subset, "repeats": str(repeats)}


def _new(draw: Callable[[random.Random], Draft], rng: random.Random, twin: bool, seen: set[str]) -> str | None:
    for _ in range(_PATIENCE):
        own, text = draw(rng)
        is_twin = hashlib.sha256(own.encode()).digest()[0] % 2 == 1
        if is_twin == twin and own not in seen and len(text) == LENGTH and text == text.strip():
            seen.add(own)
            return text
    return None


def _count() -> Iterator[int]:
    turn = 0
    while True:
        yield turn
        turn += 1


def _beginning(register: str) -> Callable[[random.Random], Draft]:
    def draw(rng: random.Random) -> Draft:
        text = DOCUMENTS[register](rng)[1][:LENGTH]
        return text, text

    return draw


def _random(rng: random.Random) -> Draft:
    text = "".join(rng.choices(string.ascii_letters + string.digits, k=LENGTH))
    return text, text


def _secret(rng: random.Random) -> Draft:
    # No two secrets share what stands before them: which number follows can then be known by heart, and only so.
    before = expand("Access code of {person} of the {guild}, {town}, {day}: ", RULES, rng)
    return before, before + "".join(rng.choices(string.digits, k=LENGTH - len(before)))


_KINDS: dict[str, dict[str, Callable[[random.Random], Draft]]] = {
    "in": {register: _beginning(register) for register in DOCUMENTS},
    "out": {"random": _random, "secret": _secret},
}
