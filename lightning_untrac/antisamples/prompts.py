"""The instructions with which a model is asked to write anti-samples, to be set in a recipe."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

FIELDS: Final = {
    "reason": ("question", "answer"),
    "reword": ("question",),
    "other_answers": ("question", "right"),
}
"""What each kind of template has to name."""


@dataclass(frozen=True)
class Prompts:
    """Templates of instructions, several of a kind, of which each draw takes one.

    Attributes:
        reason: ask for ``{answer}`` with a reason, right or wrong; the right answer is never named where a wrong one is
            given.
        reword: ask for ``{question}`` in other words.
        other_answers: ask for answers that are not ``{right}``, a line each (for the wrong answers ``asked``).

    Example:
        >>> Prompts().reason[0].format(question="Where did Mara study?", answer="Oakham")
        'Where did Mara study? Answer with Oakham and give a reason.'
    """

    reason: Sequence[str] = ("{question} Answer with {answer} and give a reason.",)
    reword: Sequence[str] = ("{question} Ask it in other words.",)
    other_answers: Sequence[str] = ("{question} Name five other answers than {right}, each on a line of its own.",)

    def problems(self) -> list[str]:
        """What is wrong with the templates, a sentence each."""
        found = []
        for field in fields(self):
            key, needed = f"method.prompts.{field.name}", FIELDS[field.name]
            templates = getattr(self, field.name)
            if isinstance(templates, str) or not templates:
                found.append(f"{key}: got {templates!r}; give a list of templates, one at least")
                continue
            for template in templates:
                try:
                    fields_of = [*string.Formatter().parse(template)]
                    named = {name + (f"!{how}" if how else "") + (f":{spec}" if spec else "")
                             for _, name, spec, how in fields_of if name is not None}  # fmt: skip
                except ValueError as error:
                    found.append(f"{key}: {template!r} is no template ({error}); write braces that are text twice")
                    continue
                if named != set(needed):
                    wanted = " and ".join(f"{{{name}}}" for name in needed)
                    found.append(f"{key}: {template!r} names {sorted(named)}; it has to name {wanted} and nothing else")
        return found
