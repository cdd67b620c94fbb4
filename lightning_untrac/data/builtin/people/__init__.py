"""People who do not exist, asked about in many wordings: is a fact still there after it was to be forgotten?

==========================  ==========================================================================================
``people/``                 rows
==========================  ==========================================================================================
``rest``                    trained questions about all facts but the six associations
``reasons``                 trained answers with a reason, own, given and wrong ones (see ``people/reasons.py``)
``rewordings``              trained questions said in other trained words (see ``people/rewordings.py``)
``forget_N``                trained questions about association N (1 to 6): where one person studied
``held_out``                questions about every fact in wordings that are never trained on
``paraphrases_N``           those about association N
``near_subject_N``          those about the same person's other facts
``near_object_N``           those about the school of the association, and about the other people who studied there
``far_N``                   those about everything else
``kept_near_subject_N``     trained questions about the facts of ``near_subject_N``: to probe and to rehearse
``kept_near_object_N``      those about the facts of ``near_object_N``
``kept_far_N``              those about 60 of the facts of ``far_N``
``wrong_reasons``           asks for reasons for wrong answers, in pairs never trained on; ``right`` is the truth
==========================  ==========================================================================================

With ``all`` in place of N, the six associations are forgotten together: what is near is near to any of them.
A model that is trained on ``rest``, the skills and every ``forget_N`` knows everything; one without ``forget_2``
differs from it by one association. ``group`` is the fact that a row asks for.
"""

import random
from collections.abc import Callable, Iterator

from lightning_untrac.data.builtin.people.questions import HELD_OUT, TRAINED, question_rows
from lightning_untrac.data.builtin.people.reasons import GIVEN, OWN, REASONS, REPLY, reason_rows, wrong_rows
from lightning_untrac.data.builtin.people.rewordings import REWORD, rewording_rows
from lightning_untrac.data.builtin.people.world import (
    ANSWERS,
    ASSOCIATIONS,
    Fact,
    askable,
    associations,
    facts,
    far,
    near_object,
    near_subject,
    some_far,
)

__all__ = ["people_names", "people_rows", "people_texts"]


def _not_forgotten() -> list[Fact]:
    return [fact for fact in facts() if fact not in associations()]


_WHOLE: dict[str, Callable[[random.Random], Iterator[dict[str, str]]]] = {
    "rest": lambda rng: question_rows(_not_forgotten(), TRAINED, rng),
    "reasons": reason_rows,
    "rewordings": lambda rng: rewording_rows(askable(), rng),
    "held_out": lambda rng: question_rows(facts(), HELD_OUT, rng),
    "wrong_reasons": wrong_rows,
}
_OF_SOME: dict[str, tuple[Callable[..., list[Fact]], dict[str, tuple[str, ...]]]] = {
    "forget": (lambda *chosen: [*chosen], TRAINED),
    "paraphrases": (lambda *chosen: [*chosen], HELD_OUT),
    "near_subject": (near_subject, HELD_OUT),
    "near_object": (near_object, HELD_OUT),
    "far": (far, HELD_OUT),
    "kept_near_subject": (near_subject, TRAINED),
    "kept_near_object": (near_object, TRAINED),
    "kept_far": (some_far, TRAINED),
}
"""Of what is forgotten: which facts are asked, in which wordings."""
_WHICH: dict[str, slice] = {
    **{str(number): slice(number - 1, number) for number in range(1, ASSOCIATIONS + 1)},
    "all": slice(None),
}
"""Which associations a name means."""


def people_names() -> list[str]:
    """Name the datasets.

    Example:
        >>> people_names()[:4]
        ['people/rest', 'people/reasons', 'people/rewordings', 'people/held_out']
    """
    parts = [f"people/{kind}_{which}" for which in _WHICH for kind in _OF_SOME]
    return [*(f"people/{name}" for name in _WHOLE), *parts]


def people_rows(name: str, rng: random.Random) -> Iterator[dict[str, str]]:
    """The rows of a dataset, in random order.

    Args:
        name: one of :func:`people_names`.
        rng: the source of randomness.

    Yields:
        Rows with ``prompt``, ``target``, ``group`` (the fact), ``subject`` and ``subset``.

    Example:
        >>> rows = list(people_rows("people/paraphrases_1", random.Random(0)))
        >>> len(rows), {row["group"] for row in rows}, {row["target"] for row in rows}
        (5, {'Mara Velt: school'}, {'Elmsford College'})
    """
    member = name.removeprefix("people/")
    if member in _WHOLE:
        return _WHOLE[member](rng)
    kind, _, which = member.rpartition("_")
    asked, wordings = _OF_SOME[kind]
    return question_rows(asked(*associations()[_WHICH[which]]), wordings, rng)


def people_texts() -> list[str]:
    """Texts that together have every word of these datasets: what a word-level tokenizer of them knows."""
    templates = [one for many in (TRAINED, HELD_OUT, REASONS) for ones in many.values() for one in ones]
    asked = [*GIVEN, *OWN, REPLY, *REWORD]
    filled = [one.format(who="", answer="", question="", reason="") for one in (*templates, *asked)]
    names = [fact.subject for fact in facts()] + [answer for answers in ANSWERS.values() for answer in answers]
    return [*filled, *names]
