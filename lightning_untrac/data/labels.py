"""Texts with classes: which columns hold them, which class a cell names, and what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.data.cells import as_text, comparable
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX
from lightning_untrac.naming import counted
from lightning_untrac.tasks import Task

if TYPE_CHECKING:
    from datasets import Dataset

    from lightning_untrac.data.config import DatasetConfig

LABEL, TOKENS, TAGS = "label", "tokens", "tags"
"""Columns of a dataset that names none, and of the rows of every one."""

MOST_NAMED: Final = 5

UNLABELLED: Final = str(IGNORE_INDEX)
"""Tag of a token that is none of a classifier's targets."""


def for_task(config: DatasetConfig, task: Task) -> DatasetConfig:
    """An entry as a model's task reads it: a classifier's has columns with classes, by their usual names.

    Args:
        config: as it was given.
        task: of the model.

    Raises:
        ConfigurationError: if the entry is one of another task.
    """
    by_token, by_text = config.tokens is not None, config.label is not None
    if not task.classifies:
        if by_token or by_text:
            raise ConfigurationError(
                [f"{config.name}: names a column with classes, and the model is a language model; name the model's "
                 "classes (model.labels), or leave the column out"]
            )  # fmt: skip
        return config
    if (by_text and task.by_token) or (by_token and not task.by_token):
        raise ConfigurationError(
            [f"{config.name}: has a class for each {'token' if by_token else 'text'}, and the model is one of "
             f"{task.name}; set model.task"]
        )  # fmt: skip
    if named := [name for name in ("prompt", "target", "messages") if getattr(config, name) is not None]:
        raise ConfigurationError(
            [f"{config.name}: {' and '.join(named)} belong to a language model, and the model is a classifier; give "
             "`text` and `label`"]
        )  # fmt: skip
    if by_token or by_text:
        return config
    return replace(config, tokens=TOKENS, tags=TAGS) if task.by_token else replace(config, label=LABEL)


def each_for_task(configs: Iterable[DatasetConfig], task: Task) -> tuple[list[DatasetConfig], list[str]]:
    """All entries that a model's task reads, as it does, and what is wrong with the others."""
    found, problems = list[Any](), list[str]()
    for config in configs:
        try:
            found.append(for_task(config, task))
        except ConfigurationError as error:
            problems += error.problems
    return found, problems


# -- cells -------------------------------------------------------------------------------------------------------------


def label_text(cell: Any, filled: bool = False) -> str | None:
    """A class as text.

    Args:
        cell: a name or a number.
        filled: as for conversations; nothing changes here.

    Raises:
        ValueError: if it is a list: of a text with several classes.
    """
    if isinstance(cell, list):
        raise ValueError("holds a list: a text with several classes (multi-label); each needs exactly one class here")
    return as_text(cell)


def list_text(cell: Any, filled: bool = False) -> str | None:
    """Words or tags as one JSON text.

    Args:
        cell: a list; or the same as JSON text, or with spaces between.
        filled: as for conversations; nothing changes here.

    Raises:
        ValueError: if it is anything else.

    Example:
        >>> list_text(["a", 1]), list_text("B O")
        ('["a", "1"]', '["B", "O"]')
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        cell = _split(cell)
    if not isinstance(cell, list):
        raise ValueError(f"holds a {type(cell).__name__} where a list of words or classes was expected")
    if any(one is None for one in cell):
        raise ValueError("holds a list with a null in it; give each word a class")
    return json.dumps([as_text(one) for one in cell], ensure_ascii=False)


def _split(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return text.split()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError("begins like a JSON list and is none") from error


def converters(config: DatasetConfig) -> dict[str, Callable[[Any], str | None]]:
    """What makes text of the cells of columns with classes."""
    if config.tokens and config.tags:
        return {config.tokens: list_text, config.tags: list_text}
    return {config.label: label_text} if config.label else {}


# -- classes -----------------------------------------------------------------------------------------------------------


def with_class_ids(rows: Dataset, config: DatasetConfig, labels: Sequence[str]) -> Dataset:
    """Rows with the numbers of the classes in place of what their cells hold.

    Args:
        rows: strings in ``text`` and ``label``, or JSON lists in ``tokens`` and ``tags``.
        config: of the dataset, for its name.
        labels: names of the model's classes.

    Raises:
        ConfigurationError: for cells that name no class, and lists of unlike lengths.
    """
    if LABEL in rows.column_names:
        cells = rows[LABEL]
        ids = class_ids(cells, labels, f"{config.name}: column {config.label!r}")
        return _replaced(rows, LABEL, [str(ids[cell]) for cell in cells])
    if TAGS not in rows.column_names:
        return rows
    lists = [json.loads(cell) for cell in rows[TAGS]]
    lengths = [len(json.loads(cell)) for cell in rows[TOKENS]]
    wrong = [index for index, (tags, length) in enumerate(zip(lists, lengths, strict=True)) if len(tags) != length]
    if wrong:
        first = wrong[0]
        raise ConfigurationError(
            [f"{config.name}: {counted(len(wrong), 'row')} with other numbers of `tokens` and `tags`, first row "
             f"{first + 1}: {lengths[first]} and {len(lists[first])}; give each word one class"]
        )  # fmt: skip
    ids = class_ids((tag for tags in lists for tag in tags), labels, f"{config.name}: column {config.tags!r}", True)
    return _replaced(rows, TAGS, [json.dumps([ids[tag] for tag in tags]) for tags in lists])


def _replaced(rows: Dataset, column: str, cells: list[str]) -> Dataset:
    return rows.remove_columns(column).add_column(column, cells)


def class_ids(cells: Iterable[str], labels: Sequence[str], where: str, unlabelled: bool = False) -> dict[str, int]:
    """The number of the class that each distinct cell names.

    All are names of the model's classes; or all are their numbers from 0.

    Args:
        cells: as text.
        labels: names of the classes.
        where: begins the sentence of an error.
        unlabelled: whether -100 stands for no class.

    Raises:
        ConfigurationError: if some are neither.

    Example:
        >>> class_ids(["yes", "no", "yes"], ["no", "yes"], ""), class_ids(["1", "0"], ["no", "yes"], "")
        ({'yes': 1, 'no': 0}, {'1': 1, '0': 0})
    """
    counts = Counter(cells)
    kept = {UNLABELLED: IGNORE_INDEX} if unlabelled and UNLABELLED in counts else {}
    names = {name: index for index, name in enumerate(labels)}
    numbers = {cell: _number(cell) for cell in counts if cell not in kept}
    unknown = [cell for cell in numbers if cell not in names]
    if not unknown:
        return {cell: names[cell] for cell in numbers} | kept
    if all(number is not None for number in numbers.values()):
        outside = [cell for cell, number in numbers.items() if number is None or not 0 <= number < len(labels)]
        if not outside:
            return {cell: number for cell, number in numbers.items() if number is not None} | kept
        raise ConfigurationError(
            [f"{where}: {_listed(outside, counts)}: out of range; the model has {counted(len(labels), 'class')}, "
             f"numbered 0 to {len(labels) - 1}"]
        )  # fmt: skip
    raise ConfigurationError(
        [f"{where}: {_listed(unknown, counts)}: no class of the model; its classes are {', '.join(labels)} (name those "
         "of a new classifier as model.labels)"]
    )  # fmt: skip


def _number(cell: str) -> int | None:
    number = comparable(cell)
    return int(number) if isinstance(number, float) and number.is_integer() else None


def _listed(cells: Sequence[str], counts: Mapping[str, int]) -> str:
    ordered = sorted(cells, key=lambda cell: (-counts[cell], cell))
    more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    return ", ".join(f"{cell!r} ({counted(counts[cell], 'time')})" for cell in ordered[:MOST_NAMED]) + more
