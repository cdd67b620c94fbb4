"""The rows of a named dataset, whatever it lies in, through the ``datasets`` library."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.config import NAME_PATTERN, DatasetConfig
from lightning_untrac.data.files import (
    FORMATS,
    READER_VERSION,
    as_text,
    ending,
    file_identities,
    find_files,
    missing_column_problems,
    numbered_rows,
    text_rows,
)
from lightning_untrac.data.progress import progress_bars
from lightning_untrac.data.transforms import TRANSFORMS
from lightning_untrac.errors import ConfigurationError, raise_if_any

if TYPE_CHECKING:
    from datasets import Dataset

BUILTIN = "builtin:"
QUIET_BYTES = 64 * 2**20
"""Files below this size are read in a moment and show no bar."""


def expand(configs: Iterable[DatasetConfig]) -> list[tuple[DatasetConfig, Dataset]]:
    """Load every dataset, and make several of an entry that has ``split_by``.

    Returns:
        Pairs of an entry (always with a name, never with ``split_by``) and its rows: a ``datasets.Dataset`` whose
        columns ``text`` or ``prompt`` and ``target`` are strings.

    Raises:
        ConfigurationError: with every problem of every dataset.
    """
    loaded, problems = [], []
    for config in configs:
        try:
            loaded += _load_entry(config)
        except ConfigurationError as error:
            label = config.name or config.path
            problems += [p if p.startswith(f"{label}:") else f"{label}: {p}" for p in error.problems]
    raise_if_any(problems)
    return loaded


def _load_entry(config: DatasetConfig) -> list[tuple[DatasetConfig, Dataset]]:
    rows = _read(config)
    if len(rows) == 0:
        raise ConfigurationError([f"{config.path} has no rows"])
    if config.transform is not None:
        if "prompt" in rows.column_names:
            config = replace(config, prompt="prompt", target="target")
        else:
            config = replace(config, text="text", prompt=None, target=None)
    raise_if_any(missing_column_problems(_needed_columns(config), rows.column_names))
    rows = _with_label_names(rows, _needed_columns(config))
    for column, value in (config.where or {}).items():
        rows = rows.select(_groups(rows, column).get(as_text(value), []))
        if len(rows) == 0:
            raise ConfigurationError([f"no row has {column} = {value!r}; check `where`"])
    if config.split_by is None:
        return [(config, _as_strings(rows, config))]
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
            parts.append((part, _as_strings(rows.select(groups[value]), part)))
        except ConfigurationError as error:
            problems += [f"{value}: {problem}" for problem in error.problems]
    raise_if_any(problems)
    return parts


def _needed_columns(config: DatasetConfig) -> tuple[str, ...]:
    split_by = [config.split_by] if config.split_by else []
    return tuple(dict.fromkeys([*config.columns, *(config.where or {}), *split_by]))


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(config: DatasetConfig) -> Dataset:
    if config.path.startswith(BUILTIN):
        return _read_builtin(config)
    path = Path(config.path).expanduser()
    if path.exists() or _looks_local(config.path):
        return _read_local(config, path)
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


def _read_hub(config: DatasetConfig) -> Dataset:
    import datasets

    try:
        rows = datasets.load_dataset(config.path, config.subset, split=config.split, revision=config.revision)
    except Exception as error:  # the hub's errors have no common class
        raise ConfigurationError(
            [f"{config.path!r} is neither a file or folder here nor loadable from the hub ({_cause(error)})"]
        ) from error
    return _transformed(rows, config) if config.transform else rows


def _read_local(config: DatasetConfig, path: Path) -> Dataset:
    import datasets

    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        saved = _load(lambda: datasets.load_from_disk(str(path)), path)
        if isinstance(saved, datasets.DatasetDict):
            if config.split not in saved:
                raise ConfigurationError([f"{path} has no split {config.split!r}; there are {', '.join(saved)}"])
            saved = saved[config.split]
        return _transformed(saved, config) if config.transform else saved
    kind, files = find_files(path)
    if kind == "parquet":
        with progress_bars(sum(file.stat().st_size for file in files) > QUIET_BYTES):
            names = [str(file) for file in files]
            rows = _load(lambda: datasets.load_dataset("parquet", data_files=names, split="train"), path)
        return _transformed(rows, config) if config.transform else rows
    if config.transform:
        problems: list[str] = []
        raw = [row for file in files for _, row in numbered_rows(file, config.sample_by, problems)]
        raise_if_any(problems)
        return _transformed(raw, config)
    columns = _needed_columns(config)
    with progress_bars(sum(file.stat().st_size for file in files) > QUIET_BYTES):
        return _load(
            lambda: datasets.Dataset.from_generator(
                text_rows,
                features=datasets.Features({column: datasets.Value("string") for column in columns}),
                gen_kwargs={
                    "files": file_identities(files),
                    "columns": columns,
                    "sample_by": config.sample_by,
                    "version": READER_VERSION,
                },
            ),
            path,
        )


def _load(load: Any, path: Path) -> Any:
    try:
        return load()
    except Exception as error:  # `datasets` wraps whatever its readers raise
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ConfigurationError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise ConfigurationError([f"can't read {path} ({_cause(error)})"]) from error


def _cause(error: Exception) -> str:
    first = error.__cause__ or error
    return f"{type(first).__name__}: {(str(first).splitlines() or ['no message'])[0]}"


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


# -- choosing and checking ---------------------------------------------------------------------------------------------


def _cells(rows: Dataset, column: str) -> Iterator[Any]:
    for batch in rows.select_columns([column]).iter(batch_size=10_000):
        yield from batch[column]


def _groups(rows: Dataset, column: str) -> dict[str | None, np.ndarray]:
    """Row numbers by the column's value, in one pass."""
    groups: dict[str | None, array[int]] = {}
    for index, cell in enumerate(_cells(rows, column)):
        groups.setdefault(as_text(cell), array("q")).append(index)
    return {value: np.frombuffer(indices, dtype=np.int64) for value, indices in groups.items()}


def _with_label_names(rows: Dataset, columns: Iterable[str]) -> Dataset:
    """Class labels as their names: a number is no text that a model should learn."""
    from datasets import ClassLabel, Value

    for column in columns:
        feature = rows.features[column]
        if isinstance(feature, ClassLabel):
            names = [None if i is None or i < 0 else feature.int2str(i) for i in _cells(rows, column)]
            rows = rows.remove_columns(column).add_column(column, names, feature=Value("string"))
    return rows


def _count_rows(indices: Sequence[int] | np.ndarray) -> str:
    return f"{len(indices)} {'row' if len(indices) == 1 else 'rows'}, first in row {indices[0] + 1}"


def _as_strings(rows: Dataset, config: DatasetConfig) -> Dataset:
    """Keep the text columns alone, under their standard names, and refuse cells that are no text."""
    from datasets import Value

    standard = ("prompt", "target") if len(config.columns) == 2 else ("text",)
    rows = rows.select_columns(list(config.columns))
    for column in config.columns:
        kind = getattr(rows.features[column], "dtype", None)
        if kind is None or kind.startswith(("list", "struct", "binary", "dict")):
            raise ConfigurationError([f"column {column!r} holds {rows.features[column]}; expected text"])
        if kind not in ("string", "large_string"):
            with progress_bars(False):
                rows = rows.cast_column(column, Value("string"))
        if rows.data.column(column).null_count:
            missing = [index for index, cell in enumerate(_cells(rows, column)) if cell is None]
            if missing:
                raise ConfigurationError(
                    [f"column {column!r} is missing in {_count_rows(missing)}; fill it in or use `where`"]
                )
    renames = {old: new for old, new in zip(config.columns, standard, strict=True) if old != new}
    return rows.rename_columns(renames) if renames else rows
