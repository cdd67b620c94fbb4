"""Another skill beside the facts: the same question in other words.

What an unlearning method asks of a model that is to find the wordings in which a fact is still there. Questions and
answers are both trained wordings of one fact that nobody forgets; of an association no rewording stands in training.
"""

import random
from collections.abc import Iterable, Iterator

from lightning_untrac.data.builtin.people.questions import TRAINED, row_of
from lightning_untrac.data.builtin.people.world import Fact

REWORD = (
    "{question} Ask it in other words.",
    "{question} Say the question in other words.",
    "{question} Ask the same in another way.",
    "{question} Say it in another way.",
)
"""Ways to ask for other words. Each gets a rewording of its own of every wording of a fact's question."""


def rewording_rows(chosen: Iterable[Fact], rng: random.Random) -> Iterator[dict[str, str]]:
    """What trains the skill: every wording of each fact's question, asked to be said otherwise in each way.

    Args:
        chosen: the facts.
        rng: the source of randomness.

    Yields:
        Rows with ``prompt``, ``target`` (another wording), ``group``, ``subject`` and ``subset`` (the relation).

    Example:
        >>> row = next(rewording_rows([Fact("Mara Velt", "instrument", "flute")], random.Random(0)))
        >>> print(row["prompt"])
        Which instrument does Mara Velt play? Say the question in other words.
        >>> print(row["target"])
        With what instrument does Mara Velt make music?
    """
    rows = []
    for fact in chosen:
        wordings = [wording.format(who=fact.subject) for wording in TRAINED[fact.relation]]
        for question in wordings:
            others = rng.sample([one for one in wordings if one != question], len(REWORD))
            rows += [
                {**row_of(fact), "prompt": ask.format(question=question), "target": other}
                for ask, other in zip(REWORD, others, strict=True)
            ]
    rng.shuffle(rows)
    yield from rows
