"""Read the rows of a named dataset, whatever it lies in, through the ``datasets`` library."""

from __future__ import annotations

import csv
import glob
import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.data.builtin import builtin_examples, builtin_names
from lightning_untrac.data.config import NAME_PATTERN, DatasetConfig
from lightning_untrac.data.transforms import TRANSFORMS
from lightning_untrac.errors import ConfigurationError

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
"""Builder of ``datasets`` for each file ending (a trailing .gz is looked through)."""

BUILTIN = "builtin:"


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
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return loaded


def _load_entry(config: DatasetConfig) -> list[tuple[DatasetConfig, Dataset]]:
    label = config.name or config.path
    rows = _read(config, label)
    if config.transform is not None:
        rows = _transformed(rows, config)
        if "prompt" in rows.column_names:
            config = replace(config, prompt="prompt", target="target")
        else:
            config = replace(config, text="text", prompt=None, target=None)
    needed = {*config.columns, *(config.where or {}), *([config.split_by] if config.split_by else [])}
    if missing := sorted(needed - set(rows.column_names)):
        raise ConfigurationError(
            [f"{label}: has no column {', '.join(map(repr, missing))}; there are {', '.join(rows.column_names)}"]
        )
    for column, value in (config.where or {}).items():
        rows = _keep(rows, column, value)
        if len(rows) == 0:
            raise ConfigurationError([f"{label}: no row has {column} = {value!r}; check `where`"])
    if config.split_by is None:
        return [(config, _as_strings(rows, config, label))]
    parts = []
    prefix = f"{config.name}-" if config.name else ""
    for value in sorted({str(v) for v in rows[config.split_by]}):
        name = f"{prefix}{value}"
        if not NAME_PATTERN.fullmatch(name):
            raise ConfigurationError([f"{label}: column {config.split_by!r} gives the name {name!r}, no file name"])
        part = replace(config, name=name, split_by=None)
        parts.append((part, _as_strings(_keep(rows, config.split_by, value), part, name)))
    return parts


def _read(config: DatasetConfig, label: str) -> Dataset:
    import datasets

    if config.path.startswith(BUILTIN):
        name = config.path.removeprefix(BUILTIN)
        if name not in builtin_names():
            raise ConfigurationError([f"{label}: no built-in dataset {name!r}; there are {', '.join(builtin_names())}"])
        try:
            return datasets.Dataset.from_list(builtin_examples(name, config.num_examples, config.sample_seed))
        except ValueError as error:
            raise ConfigurationError([f"{label}: {error}"]) from error
    path = Path(config.path).expanduser()
    if _is_local(config.path):
        rows = _read_local(config, path, label)
    else:
        try:
            rows = datasets.load_dataset(config.path, config.subset, split=config.split, revision=config.revision)
        except Exception as error:  # the hub's errors have no common class
            raise ConfigurationError(
                [
                    f"{label}: {config.path!r} is neither a file or folder here nor loadable from the hub "
                    f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'})"
                ]
            ) from error
    if len(rows) == 0:
        raise ConfigurationError([f"{label}: {config.path} has no rows"])
    return rows


def _is_local(path: str) -> bool:
    expanded = Path(path).expanduser()
    looks_local = path.startswith((".", "/", "~")) or any(c in path for c in "*?[") or _format(expanded) is not None
    return expanded.exists() or looks_local


def _format(path: Path) -> str | None:
    return FORMATS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)


def _read_local(config: DatasetConfig, path: Path, label: str) -> Dataset:
    import datasets

    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        saved = datasets.load_from_disk(str(path))
        if isinstance(saved, datasets.DatasetDict):
            if config.split not in saved:
                raise ConfigurationError([f"{label}: {path} has no split {config.split!r}; there are {', '.join(saved)}"])
            saved = saved[config.split]
        return saved
    files = _files(path, label)
    formats = {_format(file) for file in files}
    if len(formats) != 1 or None in formats:
        endings = ", ".join(sorted({file.suffix or "(none)" for file in files}))
        raise ConfigurationError(
            [f"{label}: {path} holds files ending in {endings}; expected one kind of {', '.join(FORMATS)}"]
        )
    builder = str(formats.pop())
    options: dict[str, Any] = {}
    if builder == "text":
        options["sample_by"] = config.sample_by
    if builder == "csv":
        options |= _csv_options(files)
    try:
        return datasets.load_dataset(builder, data_files=[str(file) for file in files], split="train", **options)
    except Exception as error:
        problems = [p for file in files for p in _unreadable_lines(file, builder)]
        cause = f"{type(error).__name__}: {error.__cause__ or error}".splitlines()[0]
        raise ConfigurationError([f"{label}: {p}" for p in problems] or [f"{label}: can't read {path} ({cause})"]) from error


def _files(path: Path, label: str) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and _format(file) is not None)
        if not files:
            raise ConfigurationError([f"{label}: the folder {path} holds no file ending in {', '.join(FORMATS)}"])
    elif any(c in str(path) for c in "*?["):
        files = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
        if not files:
            raise ConfigurationError([f"{label}: no file matches {path}"])
    else:
        files = [path]
    if problems := [f"{label}: {file} does not exist" for file in files if not file.exists()] + [
        f"{label}: {file} is empty" for file in files if file.exists() and file.stat().st_size == 0
    ]:
        raise ConfigurationError(problems)
    return files


def _csv_options(files: list[Path]) -> dict[str, Any]:
    # Every column as a string, and nothing read as missing: "007", "NA" and "1.0" are text here, not numbers.
    from datasets import Features, Value

    delimiter = "\t" if files[0].name.removesuffix(".gz").endswith(".tsv") else ","
    with _open(files[0]) as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    return {
        "features": Features({column: Value("string") for column in header}),
        "keep_default_na": False,
        "sep": delimiter,
    }


def _open(file: Path) -> Any:
    return gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8", newline="")


def _unreadable_lines(file: Path, builder: str, limit: int = 3) -> list[str]:
    """Find the lines that a failed read choked on; it reads the file again, so only after a failure."""
    found = []
    try:
        with _open(file) as lines:
            if builder == "json" and (".jsonl" in file.name or ".ndjson" in file.name):
                for number, line in enumerate(lines, start=1):
                    try:
                        if line.strip() and not isinstance(json.loads(line), dict):
                            found.append(f"{file}, line {number}: not a JSON object")
                    except json.JSONDecodeError as error:
                        found.append(f"{file}, line {number}: not valid JSON ({error.msg} at column {error.colno})")
            elif builder == "csv":
                rows = csv.reader(lines, delimiter="\t" if ".tsv" in file.name else ",")
                width = len(next(rows, []))
                found += [
                    f"{file}, line {rows.line_num}: {len(row)} fields where the header has {width}"
                    for row in rows
                    if row and len(row) != width
                ]
            elif builder == "json":
                json.load(lines)
    except UnicodeDecodeError as error:
        found.append(f"{file}: not UTF-8 text (byte {error.start})")
    except json.JSONDecodeError as error:
        found.append(f"{file}, line {error.lineno}: not valid JSON ({error.msg} at column {error.colno})")
    except OSError as error:
        found.append(f"{file}: {error}")
    return found[:limit] + ([f"{file}: and {len(found) - limit} more such lines"] if len(found) > limit else [])


def _keep(rows: Dataset, column: str, value: str) -> Dataset:
    return rows.select([index for index, cell in enumerate(rows[column]) if str(cell) == str(value)])


def _transformed(rows: Dataset, config: DatasetConfig) -> Dataset:
    import datasets

    assert config.transform is not None
    return datasets.Dataset.from_list(list(TRANSFORMS[config.transform](rows)))


def _as_strings(rows: Dataset, config: DatasetConfig, label: str) -> Dataset:
    """Keep the text columns alone, under their standard names, and refuse cells that are no text."""
    from datasets import Value

    standard = ("prompt", "target") if len(config.columns) == 2 else ("text",)
    rows = rows.select_columns(list(dict.fromkeys(config.columns)))
    for column in config.columns:
        kind = getattr(rows.features[column], "dtype", None)
        if kind is None or kind.startswith(("list", "struct", "binary", "dict")):
            raise ConfigurationError([f"{label}: column {column!r} holds {rows.features[column]}; expected text"])
        if kind not in ("string", "large_string"):
            rows = rows.cast_column(column, Value("string"))
        if rows.data.column(column).null_count:
            missing = [index for index, cell in enumerate(rows[column]) if cell is None]
            if missing:
                raise ConfigurationError(
                    [f"{label}: column {column!r} is missing in {len(missing)} rows, first in row {missing[0] + 1}"]
                )
    renames = {old: new for old, new in zip(config.columns, standard, strict=True) if old != new}
    return rows.rename_columns(renames) if renames else rows
