"""What a judge is: it says of answers and outputs whether the output gives the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from lightning_untrac.registry import Registry


class Said(NamedTuple):
    """One case to judge.

    Attributes:
        answer: the right answer.
        output: what a model said.
        question: what it was asked, for judges that want to know.
    """

    answer: str
    output: str
    question: str = ""


class Judge(ABC):
    """Says whether outputs give answers. A new judge is one new file in ``judges/``, or a class of your own.

    It is named as ``{class_path: answered, init_args: {judge: my_judges.Strict}}`` among measures; its settings go into
    ``init_args`` of its own.

    Attributes:
        name: in settings.
        title: its name for people.

    Example:
        >>> class SameText(Judge):
        ...     name, title = "same_text", "Same text"
        ...     def __call__(self, cases):
        ...         return [case.answer.strip() == case.output.strip() for case in cases]
        >>> find_judge("same_text")([Said("Paris", "Paris "), Said("Paris", "paris")])
        [True, False]
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new judge known."""
        super().__init_subclass__(**kwargs)
        JUDGES.add(cls)

    @abstractmethod
    def __call__(self, cases: Sequence[Said]) -> list[bool]:
        """Judge some cases.

        Args:
            cases: an answer and an output each.

        Returns:
            Whether the output gives the answer, in the order of the cases.
        """


JUDGES: Registry[Judge] = Registry("judge", "lightning_untrac.judges")
"""All judges by name."""


def find_judge(asked: str | Mapping[str, Any] | Judge) -> Judge:
    """A judge by its name or class path, with settings, or as it is.

    Args:
        asked: ``lexical``, ``{class_path: lexical, init_args: {...}}`` or a judge.

    Raises:
        ConfigurationError: if there is none of that name, or it doesn't take the settings.

    Example:
        >>> judge = find_judge({"class_path": "lexical", "init_args": {"synonyms": {"film": ["movie"]}}})
        >>> judge([Said("film", "a movie")])
        [True]
    """
    return JUDGES.make(asked)
