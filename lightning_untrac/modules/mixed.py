"""A question asked together with another one, of what was never to be forgotten, in one prompt."""

from __future__ import annotations

from typing import Final

from lightning_untrac.decoding import PLAIN, Decoding
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.framing import Framing
from lightning_untrac.modules.questions import Question
from lightning_untrac.modules.shots import shots_before

OTHER: Final = "{other}"
"""Where the other question stands in a format."""


def mixed_prompts(
    framing: Framing, question: Question, decoding: Decoding, room: int | None, is_chat: bool
) -> list[list[int]]:
    """Token ids of a question in each format, with another question beside it.

    Args:
        framing: of the model.
        question: that is asked.
        decoding: its formats name the place of both questions, and ``beside`` says where the other one is drawn from:
            the first that leaves room is taken, the same one in all formats.
        room: most tokens of a prompt; None for any number.
        is_chat: whether the dataset is one of conversations.

    Raises:
        ConfigurationError: if there is no other question, or none that leaves room.
    """
    assert decoding.beside is not None
    pairs = shots_before(framing, question, decoding.beside)
    for pair in pairs:
        other = pair.prompt.strip()
        if PLAIN in other:  # would be taken for the place of the question
            continue
        formats = [template.replace(OTHER, other) for template in decoding.formats]
        found = framing.prompts(question.prompt, formats, is_chat)
        if room is None or max(map(len, found)) <= room:
            return found
    name, asked = decoding.beside.measure, f"{question.asked.question!r} of {question.dataset}"
    raise ConfigurationError(
        [
            f"measures: {name}: the context leaves room for {room} tokens of a prompt, and none of {len(pairs)} other "
            f"questions fits in beside {asked}; give a smaller `longest`, or leave it out"
            if pairs
            else f"measures: {name} finds no other question to ask together with {asked}: all are of what is "
            "forgotten, or of the group of the question; name another corpus, or give `path`, a file of pairs"
        ]
    )
