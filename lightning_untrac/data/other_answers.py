"""Columns with further answers to prompts, which are only measured: wrong ones, and the right one in other words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.data.cells import as_text
from lightning_untrac.errors import ConfigurationError, raise_if_any

if TYPE_CHECKING:
    from datasets import Dataset

KINDS: Final = ("wrong_answers", "paraphrased_answer")
"""Settings of a dataset that name a column with further answers."""

MOST_NAMED: Final = 5

Texts = Sequence[tuple[str, ...]]
"""Of each row its further answers."""


# -- cells -------------------------------------------------------------------------------------------------------------


def answers_text(cell: Any, filled: bool = False) -> str | None:
    """A list of answers as one JSON text.

    Args:
        cell: a list of texts, or the same as JSON text; None for none.
        filled: as for conversations; nothing changes here.

    Raises:
        ValueError: if it is anything else.

    Example:
        >>> answers_text(["Rome", 12]), answers_text('["Rome"]'), answers_text(None)
        ('["Rome", "12"]', '["Rome"]', None)
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            cell = None
    if not isinstance(cell, list):
        raise ValueError("holds no list of answers; write one, also where there is only one answer in it")
    texts = [as_text(one) for one in cell]
    if not all(text and text.strip() for text in texts):
        raise ValueError("holds a list with an empty answer in it; leave that out")
    return json.dumps(texts, ensure_ascii=False)


def answer_converters(config: Any) -> dict[str, Callable[[Any], str | None]]:
    """What makes text of the cells of a column with lists of answers."""
    return {column: answers_text for column in (config.wrong_answers, config.choices) if column}


def answer_columns(config: Any) -> list[str]:
    """The columns with further answers, or with choices that give some."""
    return [column for kind in (*KINDS, "choices") if (column := getattr(config, kind)) is not None]


def other_answer_problems(config: Any) -> list[str]:
    """What is wrong with the columns that an entry names for further answers.

    Args:
        config: a ``DatasetConfig``.
    """
    found = []
    for kind in KINDS:
        column = getattr(config, kind)
        if column is None:
            continue
        if None in (config.prompt, config.target):
            found.append(f"`{kind}` are answers to a prompt; give `prompt` and `target` too")
        if config.transform is not None:
            found.append(f"transform {config.transform!r} makes rows of its own; leave `{kind}` out")
        if column in (config.prompt, config.target):
            found.append(f"`{kind}` is column {column!r}, as the prompt or the target; name another")
    if config.paraphrased_answer is not None and config.wrong_answers is None:
        found.append("`paraphrased_answer` is held against wrong answers; give `wrong_answers` too")
    return found


# -- rows --------------------------------------------------------------------------------------------------------------


def with_other_answers(rows: Dataset, texts: Dataset, config: Any) -> Dataset:
    """Put the columns with further answers beside those of the texts.

    Args:
        rows: as they were read.
        texts: the same rows with the columns of the texts alone.
        config: says which columns these are.

    Raises:
        ConfigurationError: if a cell is no list of answers, or no other wording of one.
    """
    if config.wrong_answers is not None:
        texts = texts.add_column(hidden("wrong_answers"), cells_of(rows, config.wrong_answers, answers_text, "[]"))
    if config.paraphrased_answer is not None:
        cells = cells_of(rows, config.paraphrased_answer, as_text, "")
        if missing := [index + 1 for index, cell in enumerate(cells) if not cell.strip()]:
            raise ConfigurationError(
                [f"column {config.paraphrased_answer!r} is missing or empty in {len(missing)} rows, first in row "
                 f"{missing[0]}; fill it in, use `where`, or leave `paraphrased_answer` out for all"]
            )  # fmt: skip
        texts = texts.add_column(hidden("paraphrased_answer"), [json.dumps([cell]) for cell in cells])
    return texts


def others_taken_off(rows: Dataset) -> tuple[Dataset, dict[str, Texts]]:
    """Rows without further answers, and these by their kind."""
    found: dict[str, Texts] = {
        kind: [tuple(json.loads(cell)) for cell in rows[hidden(kind)]]
        for kind in KINDS
        if hidden(kind) in rows.column_names
    }
    return rows.remove_columns([hidden(kind) for kind in found]) if found else rows, found


def others_digest(others: Mapping[str, Texts]) -> str:
    """Equal for the same further answers; empty where there are none."""
    return hashlib.sha256(json.dumps(dict(others)).encode()).hexdigest()[:8] if others else ""


def hidden(kind: str) -> str:
    """Name of a column of loaded rows; no source's column is asked for under it."""
    return f"untrac.{kind}"


def cells_of(rows: Dataset, column: str, convert: Callable[[Any], str | None], missing: str) -> list[str]:
    """The cells of a column as text.

    Args:
        rows: as they were read.
        column: its name.
        convert: makes text of a cell.
        missing: text of a cell that holds nothing.

    Raises:
        ConfigurationError: with the rows whose cells can't be converted.
    """
    found, problems = [], []
    for index, cell in enumerate(rows[column]):
        try:
            text = convert(cell)
        except ValueError as error:
            problems.append(f"column {column!r}, row {index + 1}: {error}")
            continue
        found.append(missing if text is None else text)
    raise_if_any(problems[:MOST_NAMED])
    return found
