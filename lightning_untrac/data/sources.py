"""The rows of a named dataset, whatever it lies in, through the ``datasets`` library."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.arrow_cache import default_cache_folder
from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.cells import as_text, comparable
from lightning_untrac.data.choices import with_choices
from lightning_untrac.data.config import NAME_PATTERN, DatasetConfig
from lightning_untrac.data.files import FORMATS, ending
from lightning_untrac.data.hub_copies import cache_of, is_hub_copy
from lightning_untrac.data.labels import LABEL, TAGS, TOKENS, label_text, list_text
from lightning_untrac.data.local import as_dataset, cause, needed_columns, read_local
from lightning_untrac.data.marks import with_marks
from lightning_untrac.data.messages import conversation_text, tools_text
from lightning_untrac.data.other_answers import with_other_answers
from lightning_untrac.data.rows import missing_column_problems
from lightning_untrac.data.transforms import TRANSFORMS
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.hub import hub_problem

if TYPE_CHECKING:
    from datasets import Dataset

BUILTIN = "builtin:"
MAX_VALUES = 5
"""So many values of a column, or problems of its cells, are named in a message."""


def expand(configs: Iterable[DatasetConfig], cache_folder: Path | None = None) -> list[tuple[DatasetConfig, Dataset]]:
    """Load every dataset, and make several of an entry that has ``split_by``.

    Args:
        configs: the datasets.
        cache_folder: where the cells of local files are kept; by default inside the ``datasets`` cache.

    Returns:
        Pairs of an entry (always with a name, never with ``split_by``) and its rows: a ``datasets.Dataset`` whose
        columns are strings: ``text``; or ``prompt``, ``target`` and perhaps ``alternative``; or ``messages`` and
        ``tools`` (JSON); or ``text`` and ``label``, or ``tokens`` and ``tags`` (JSON); and those of
        :mod:`~lightning_untrac.data.marks`, where there are any.

    Raises:
        ConfigurationError: with every problem of every dataset.
    """
    loaded, problems = [], []
    for config in configs:
        try:
            loaded += _load_entry(config, cache_folder or default_cache_folder())
        except ConfigurationError as error:
            label = config.name or config.path
            problems += [p if p.startswith(f"{label}:") else f"{label}: {p}" for p in error.problems]
    raise_if_any(problems)
    return loaded


def _load_entry(config: DatasetConfig, cache_folder: Path) -> list[tuple[DatasetConfig, Dataset]]:
    rows = _read(config, cache_folder)
    if len(rows) == 0:
        raise ConfigurationError([f"{config.path} has no rows"])
    if config.transform is not None:
        if "prompt" in rows.column_names:
            config = replace(config, prompt="prompt", target="target")
        else:
            config = replace(config, text="text", prompt=None, target=None)
    raise_if_any(missing_column_problems(needed_columns(config), rows.column_names))
    _check_utf8(rows, needed_columns(config))
    rows = _with_label_names(rows, needed_columns(config))
    for column, value in (config.where or {}).items():
        rows = _where(rows, column, value)
    if config.split_by is None:
        return [(config, _beside(rows, config))]
    groups = _groups(rows, config.split_by)
    prefix = f"{config.name}-" if config.name else ""
    problems = []
    if None in groups:
        problems.append(
            f"column {config.split_by!r} is missing in {_count_rows(groups.pop(None))}; fill it in or use `where`"
        )
    problems += [
        f"column {config.split_by!r} gives the name {prefix + value!r}, which can't be a file name; use letters, "
        "digits, '.', '-' and '_' (100 at most, beginning with a letter or digit)"
        for value in groups
        if value is not None and not NAME_PATTERN.fullmatch(prefix + value)
    ]
    parts = []
    for value in sorted(value for value in groups if value is not None):
        part = replace(config, name=prefix + value, split_by=None)
        try:
            some = rows.select(groups[value])
            parts.append((part, _beside(some, part)))
        except ConfigurationError as error:
            problems += [f"{value}: {problem}" for problem in error.problems]
    raise_if_any(problems)
    return parts


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(config: DatasetConfig, cache_folder: Path) -> Dataset:
    if config.path.startswith(BUILTIN):
        return _read_builtin(config)
    path = Path(config.path).expanduser()
    if is_hub_copy(path):
        return _read_hub(config, path, cache_folder)
    if path.exists() or _looks_local(config.path):
        rows = read_local(config, path, cache_folder)
        return _transformed(rows, config) if config.transform else rows
    return _read_hub(config)


def _looks_local(path: str) -> bool:
    return path.startswith((".", "/", "~")) or any(c in path for c in "*?[") or ending(Path(path)) in FORMATS


def _read_builtin(config: DatasetConfig) -> Dataset:
    import datasets

    name = config.path.removeprefix(BUILTIN)
    if name not in builtin_names():
        raise ConfigurationError([f"no built-in dataset {name!r}; there are {', '.join(builtin_names())}"])
    # `num_examples` counts what is left by `where` and in each part of `split_by`, as for any other source.
    all_rows = config.where or config.split_by or config.transform
    try:
        rows = builtin_examples(name, None if all_rows else config.num_examples, config.sample_seed)
    except ValueError as error:
        raise ConfigurationError([str(error)]) from error
    return _transformed(rows, config) if config.transform else datasets.Dataset.from_list(rows)


def _read_hub(config: DatasetConfig, copy: Path | None = None, cache_folder: Path | None = None) -> Dataset:
    """Rows of the hub, or of a copy of what is there."""
    import datasets

    path, cache = config.path, None
    failed = f"{path!r} is neither a file or folder here nor loadable from the hub"
    if copy and cache_folder:
        path, cache = str(copy), str(cache_of(copy, cache_folder))
        failed = f"can't read {copy} as the copy of a hub dataset that its README.md says it is"
    elif problem := hub_problem("dataset", path, config.revision):
        raise ConfigurationError([f"{failed} ({problem})"])
    try:
        rows = datasets.load_dataset(path, config.subset, split=config.split, revision=config.revision, cache_dir=cache)
    except Exception as error:  # the hub's errors have no common class
        raise ConfigurationError([f"{failed} ({cause(error)})"]) from error
    return _transformed(rows, config) if config.transform else rows


def _transformed(rows: Iterable[Any], config: DatasetConfig) -> Dataset:
    import datasets

    assert config.transform is not None
    try:
        made: list[dict[str, str]] = list(TRANSFORMS[config.transform](rows))
    except KeyError as error:
        raise ConfigurationError(
            [f"transform {config.transform!r} needs a column {error}, which {config.path} hasn't"]
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError([f"transform {config.transform!r} doesn't fit {config.path} ({error})"]) from error
    if not made:
        raise ConfigurationError([f"transform {config.transform!r} keeps no row of {config.path}"])
    return datasets.Dataset.from_list(made)


def _beside(rows: Dataset, config: DatasetConfig) -> Dataset:
    """The texts of the examples, with what is known of each beside it."""
    texts = with_choices(rows, _as_strings(rows, config), config)
    return with_other_answers(rows, with_marks(rows, texts, config), config)


# -- choosing and checking ---------------------------------------------------------------------------------------------


def _cells(rows: Dataset, column: str) -> Iterator[Any]:
    try:
        for batch in rows.select_columns([column]).iter(batch_size=10_000):
            yield from batch[column]
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"column {column!r} holds bytes that are no UTF-8 text ({error.reason})"]) from error


def _groups(rows: Dataset, column: str) -> dict[str | None, np.ndarray]:
    """Row numbers by the column's value, in one pass."""
    groups: dict[str | None, array[int]] = {}
    for index, cell in enumerate(_cells(rows, column)):
        try:
            groups.setdefault(as_text(cell), array("q")).append(index)
        except ValueError as error:
            raise ConfigurationError([f"column {column!r}, row {index + 1}: {error}"]) from error
    return {value: np.frombuffer(indices, dtype=np.int64) for value, indices in groups.items()}


def _where(rows: Dataset, column: str, value: Any) -> Dataset:
    """The rows whose cell in ``column`` equals ``value``."""
    groups = _groups(rows, column)
    wanted = comparable(as_text(value))
    chosen = [indices for text, indices in groups.items() if comparable(text) == wanted]
    if not chosen:
        there = ", ".join(repr(text) for text in list(groups)[:MAX_VALUES]) + ", ..." * (len(groups) > MAX_VALUES)
        raise ConfigurationError([f"no row has {column} = {value!r}; check `where` (there are {there})"])
    return rows.select(np.sort(np.concatenate(chosen)))


def _with_label_names(rows: Dataset, columns: Iterable[str]) -> Dataset:
    """Class labels as their names: a number is no text that a model should learn."""
    from datasets import ClassLabel, List, Value

    for column in columns:
        feature = rows.features[column]
        if isinstance(feature, ClassLabel):
            names = [None if i is None or i < 0 else feature.int2str(i) for i in _cells(rows, column)]
            rows = rows.remove_columns(column).add_column(column, names, feature=Value("string"))
        elif isinstance(inner := getattr(feature, "feature", None), ClassLabel):  # of each word
            lists = [[str(i) if i < 0 else inner.int2str(i) for i in cell] for cell in _cells(rows, column)]
            rows = rows.remove_columns(column).add_column(column, lists, feature=List(Value("string")))
    return rows


def _count_rows(indices: Sequence[int] | np.ndarray) -> str:
    return f"{len(indices)} {'row' if len(indices) == 1 else 'rows'}, first in row {indices[0] + 1}"


def _check_utf8(rows: Dataset, columns: Iterable[str]) -> None:
    import pyarrow as pa

    for column in columns:
        try:
            rows.data.column(column).validate(full=True)
        except pa.ArrowInvalid as error:
            raise ConfigurationError([f"column {column!r} holds bytes that are no UTF-8 text ({error})"]) from error


def _as_strings(rows: Dataset, config: DatasetConfig) -> Dataset:
    """Keep the examples' columns alone, under their standard names, and refuse cells that are no text."""
    if config.messages:
        tools = _converted(rows, config.tools, tools_text) if config.tools else [""] * len(rows)
        return as_dataset({"messages": _converted(rows, config.messages, conversation_text), "tools": tools})
    if config.tokens and config.tags:
        return as_dataset({TOKENS: _converted(rows, config.tokens, list_text),
                           TAGS: _converted(rows, config.tags, list_text)})  # fmt: skip
    standard = ("text",) if len(config.columns) == 1 else ("prompt", "target", "alternative")[: len(config.columns)]
    if config.label:
        standard = ("text", LABEL)
        if str(rows.data.schema.field(config.label).type).startswith(("list", "large_list", "fixed_size_list")):
            _converted(rows, config.label, label_text)
    rows = rows.select_columns(list(config.columns))
    kinds = {str(rows.data.schema.field(column).type) for column in config.columns}
    if not kinds <= {"string", "large_string"}:
        rows = as_dataset({column: _text_column(rows, column) for column in config.columns})
    for column in config.columns:
        if rows.data.column(column).null_count:
            missing = [index for index, cell in enumerate(_cells(rows, column)) if cell is None]
            if missing:
                raise ConfigurationError(
                    [f"column {column!r} is missing in {_count_rows(missing)}; fill it in or use `where`"]
                )
    renames = {old: new for old, new in zip(config.columns, standard, strict=True) if old != new}
    return rows.rename_columns(renames) if renames else rows


def _text_column(rows: Dataset, column: str) -> Any:
    """A column of other values as an Arrow array of strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = rows.with_format("arrow")[:][column]
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        raise ConfigurationError([f"column {column!r} holds {rows.features[column]}; expected text"])
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)  # as pandas writes what is missing
    return pc.cast(cells, pa.string())


def _converted(rows: Dataset, column: str, convert: Callable[[Any, bool], str | None]) -> list[str]:
    """A column of conversations (or of their tools) as JSON text."""
    texts, missing, problems = [], [], []
    for index, cell in enumerate(_cells(rows, column)):
        try:
            text = convert(cell, True)
        except ValueError as error:
            problems.append(f"column {column!r}, row {index + 1}: {error}")
            continue
        if text is None:
            missing.append(index)
        texts.append(text or "")
    if missing:
        problems.append(f"column {column!r} is missing in {_count_rows(missing)}; fill it in or use `where`")
    raise_if_any(problems[:MAX_VALUES])
    return texts
