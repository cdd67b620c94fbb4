"""Written answers to instructions: for tests, and for anti-samples that somebody else wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from typing_extensions import override

from lightning_untrac.antisamples.generators.generator import Asked, Generator, Written
from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.json_setting import from_json


class Scripted(Generator):
    """Look up what to write: the first entry of a script whose key stands in the instruction.

    Instructions are filled templates: a key such as ``study? Answer with Oakham`` meets anti-samples alone, one that is
    only a name meets rewordings and reasons for right answers too.

    Args:
        script: key to text, or to several texts that are taken in turn; or a JSON file with such a mapping.
        otherwise: what is written where no key fits.

    Example:
        >>> Scripted({"Mara": ["first", "second"]}).write([Asked("Where did Mara study?", (1,))], 0.0, 8)[0].text
        'second'
    """

    name = "scripted"

    def __init__(self, script: Mapping[str, str | Sequence[str]] | str, otherwise: str = "") -> None:
        self.given, self.otherwise = script, otherwise

    @cached_property
    def script(self) -> dict[str, list[str]]:
        """Key to texts."""
        found = from_json(self.given, "generator")
        if not isinstance(found, Mapping):
            raise ConfigurationError([f"generator: got {found!r}; give a mapping of a key to a text or to texts"])
        return {key: [texts] if isinstance(texts, str) else list(texts) for key, texts in found.items()}

    @override
    def problems(self) -> list[str]:
        return problems_of(lambda: self.script)

    @override
    def write(self, asked: Sequence[Asked], temperature: float, longest: int) -> list[Written]:
        return [self._one(one) for one in asked]

    def _one(self, asked: Asked) -> Written:
        texts = next((texts for key, texts in self.script.items() if key in asked.text), [self.otherwise])
        text = texts[sum(asked.draw) % len(texts)] if texts else self.otherwise
        return Written(text, True, len(text.split()))
