"""How a model is asked and let speak: what measures of answers ask for, and modules do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Pair(NamedTuple):
    """A question and its answer as texts.

    Attributes:
        prompt: the question.
        target: the answer, with what stands between the two.
        group: the fact that it asks for, where it is known.
    """

    prompt: str
    target: str
    group: str | None = None


@dataclass(frozen=True)
class Shots:
    """Answered questions that stand before a question, or that are asked together with it.

    Attributes:
        count: most of them.
        seed: of the draws.
        forgotten: names of datasets from which none is drawn, beside those that a plan forgets.
        path: where ``pairs`` come from.
        pairs: to draw from, in place of the retained corpora.
        measure: which asks for them, for messages.
    """

    count: int = 100
    seed: int = 0
    forgotten: tuple[str, ...] = ()
    path: str | None = None
    pairs: tuple[Pair, ...] | None = field(default=None, repr=False)
    measure: str = field(default="answered_after_shots", repr=False, compare=False)


PLAIN: Final = "{prompt}"
"""The format of a question that is asked as its dataset has it."""


def filled_in(template: str, prompt: str) -> str:
    """A question in a format.

    Args:
        template: with ``{prompt}``; other braces stay as they are.
        prompt: the question.

    Example:
        >>> filled_in("Q: {prompt} {A:}", "Why {so}?")
        'Q: Why {so}? {A:}'
    """
    return template.replace(PLAIN, prompt)


@dataclass(frozen=True)
class Decoding:
    """How a model is asked, and let speak.

    Attributes:
        longest: most tokens of an answer.
        samples: answers to each question; of several, or at a temperature, each is drawn by itself.
        temperature: of the draws; 0 for the likeliest token each time. No other cut is made (top-p 1).
        seed: of the draws.
        formats: in which each question is asked, one after another: templates with ``{prompt}``. There are
            ``samples`` answers in each, those in the first format first.
        shots: answered questions that stand before it; None for none.
        beside: questions of which one is asked together with it, at ``{other}`` in each format; None for none.
        many_lines: whether an answer goes on after its first line, where no chat template says when it ends.
    """

    longest: int = 32
    samples: int = 1
    temperature: float = 0.0
    seed: int = 0
    formats: tuple[str, ...] = (PLAIN,)
    shots: Shots | None = None
    beside: Shots | None = None
    many_lines: bool = False

    @property
    def num_answers(self) -> int:
        """Answers to a question, in all formats together."""
        return self.samples * len(self.formats)


class Asked(NamedTuple):
    """A question of a batch.

    Attributes:
        question: as the model reads it.
        answer: the right answer, its target.
    """

    question: str
    answer: str
