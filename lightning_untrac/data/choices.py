"""Multiple choice: a question, what can be chosen and which of it is right, as a prompt and letters."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.data.cells import comparable
from lightning_untrac.data.other_answers import answers_text, cells_of, hidden
from lightning_untrac.errors import raise_if_any

if TYPE_CHECKING:
    from datasets import Dataset

LETTERS: Final = string.ascii_uppercase
"""Of the choices, in their order."""

MOST_NAMED: Final = 5


def choice_problems(config: Any) -> list[str]:
    """What is wrong with the column that an entry names for choices.

    Args:
        config: a ``DatasetConfig``.
    """
    if config.choices is None:
        return []
    found = []
    if None in (config.prompt, config.target):
        found.append(
            "`choices` answer a question; give its column as `prompt`, and that of the right choice as `target`"
        )
    if config.choices in (config.prompt, config.target):
        found.append(f"`choices` is column {config.choices!r}, as the prompt or the target; name another")
    others = [name for name in ("wrong_answers", "paraphrased_answer", "alternative", "transform")
              if getattr(config, name) is not None]  # fmt: skip
    if others:
        found.append(
            f"`choices` make the prompt and the answers; leave {' and '.join(f'`{one}`' for one in others)} out"
        )
    return found


def with_choices(rows: Dataset, texts: Dataset, config: Any) -> Dataset:
    """Make prompts of questions and their choices, and letters of the answers, where an entry names choices.

    Args:
        rows: as they were read.
        texts: the same rows with ``prompt`` (the question) and ``target`` (which choice is right).
        config: a ``DatasetConfig``; says which column the choices are.

    Raises:
        ConfigurationError: if a cell holds no two choices, or the target is none of them.
    """
    if config.choices is None:
        return texts
    from datasets import Dataset

    columns: dict[str, list[str]] = {"prompt": [], "target": [], hidden("wrong_answers"): []}
    problems = []
    cells = cells_of(rows, config.choices, answers_text, "[]")
    for index, (question, answer, cell) in enumerate(zip(texts["prompt"], texts["target"], cells, strict=True)):
        choices = json.loads(cell)
        try:
            right = right_choice(answer, choices)
        except ValueError as error:
            problems.append(f"columns {config.choices!r} and {config.target!r}, row {index + 1}: {error}")
            continue
        columns["prompt"].append(choice_prompt(question, choices))
        columns["target"].append(LETTERS[right])
        wrong = [letter for place, letter in enumerate(LETTERS[: len(choices)]) if place != right]
        columns[hidden("wrong_answers")].append(json.dumps(wrong))
    raise_if_any(problems[:MOST_NAMED])
    beside = {name: list(texts[name]) for name in texts.column_names if name not in columns}
    return Dataset.from_dict(columns | beside)


def right_choice(answer: str, choices: Sequence[str]) -> int:
    """Which choice is right, from 0.

    Args:
        answer: its number from 0, else its text, else its letter.
        choices: texts.

    Raises:
        ValueError: if there are no two choices, more than letters, or the answer is none of them.

    Example:
        >>> [right_choice(answer, ["red", "blue"]) for answer in ("1", "red", "B")]
        [1, 0, 1]
    """
    if not 2 <= len(choices) <= len(LETTERS):
        raise ValueError(f"{len(choices)} choices; expected 2 to {len(LETTERS)}")
    number = comparable(answer)
    if isinstance(number, float):
        if not (number.is_integer() and 0 <= number < len(choices)):
            raise ValueError(f"{answer!r} is no number of a choice; expected 0 to {len(choices) - 1}")
        return int(number)
    if answer in choices:
        return choices.index(answer)
    place = LETTERS[: len(choices)].find(answer.strip()) if len(answer.strip()) == 1 else -1
    if place < 0:
        raise ValueError(f"{answer!r} is none of the choices; expected its number from 0, its text or its letter")
    return place


def choice_prompt(question: str, choices: Sequence[str]) -> str:
    """A question with its choices, as the usual harness for such benchmarks asks it.

    Example:
        >>> print(choice_prompt("Which colour? ", ["red", "blue"]))
        Which colour?
        A. red
        B. blue
        Answer:
    """
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question.strip(), *lines, "Answer:"])
