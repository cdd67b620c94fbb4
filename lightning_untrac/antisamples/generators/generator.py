"""What a generator is: it writes texts to instructions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from lightning_untrac.registry import Registry


class Asked(NamedTuple):
    """One instruction.

    Attributes:
        text: of the instruction, or a question.
        draw: numbers that seed the draw: the same ones draw the same text.
    """

    text: str
    draw: tuple[int, ...] = ()


class Written(NamedTuple):
    """What a generator wrote.

    Attributes:
        text: without marks of its end.
        ended: whether it came to an end by itself, and was not cut off.
        tokens: that it has.
    """

    text: str
    ended: bool
    tokens: int


class Generator(ABC):
    """Writes to instructions. A new generator is one new file in ``antisamples/generators/``, or a class of your own.

    Attributes:
        name: in settings.

    Example:
        >>> class Parrot(Generator):
        ...     name = "parrot"
        ...     def write(self, asked, temperature, longest):
        ...         return [Written(one.text, True, len(one.text.split())) for one in asked]
        >>> GENERATORS.make("parrot").write([Asked("Say it.")], 0.0, 8)[0].text
        'Say it.'
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new generator known."""
        super().__init_subclass__(**kwargs)
        GENERATORS.add(cls)

    def problems(self) -> list[str]:
        """What is wrong with the settings, a sentence each, before anything is loaded."""
        return []

    def attach(self, module: Any) -> None:  # noqa: B027
        """Called on every rank before the first instruction, with the module that unlearns in a Trainer."""

    @abstractmethod
    def write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        """Write to each instruction; called on every rank with the same instructions, and gives the same on each.

        Args:
            asked: instructions.
            temperature: of draws; 0 for the likeliest token each time.
            longest: most tokens of a text.

        Returns:
            A text for each, in the order of the instructions.
        """


GENERATORS: Registry[Generator] = Registry("generator", "lightning_untrac.antisamples.generators")
"""All generators by name."""
