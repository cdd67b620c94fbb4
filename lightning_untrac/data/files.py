"""Rows of local text files: every cell exactly as it is written there, every fault with its file and line.

Readers that guess types change text: ``2020-01-01`` becomes a timestamp, ``7.0`` a 7, ``NA`` nothing, and a line with a
comma too many moves all its cells. So JSON lines, CSV and plain text are read here, row by row and as text, and handed
to ``datasets`` as a generator, which writes them to its cache once.
"""

from __future__ import annotations

import csv
import glob
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_untrac.errors import ConfigurationError, raise_if_any

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
"""Kind of file for each ending, in any case (a trailing .gz is looked through)."""

READER_VERSION = 1
"""Part of the cache's key: raise it when the same file would be read differently."""

MAX_SHOWN = 3
MAX_FIELD = 2**31 - 1

Row = dict[str, Any]


def ending(path: Path) -> str:
    """The file ending in lower case, without a trailing .gz.

    Example:
        >>> ending(Path("a/b.JSONL.gz"))
        '.jsonl'
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def find_files(path: Path) -> tuple[str, list[Path]]:
    """The files that ``path`` (a file, a folder or a pattern) stands for, sorted, and their common kind.

    In folders and patterns hidden files and a README or LICENSE are passed over.

    Raises:
        ConfigurationError: if there is none, if one is missing or empty, or if they are of several kinds.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_data(file.relative_to(path)) and file.is_file())
        if not files:
            raise ConfigurationError([f"the folder {path} holds no file ending in {', '.join(FORMATS)}"])
    elif not path.exists() and any(c in str(path) for c in "*?["):
        files = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        files = [file for file in files if _is_data(Path(file.name)) and file.is_file()]
        if not files:
            raise ConfigurationError([f"no file ending in {', '.join(FORMATS)} matches {path}"])
    else:
        files = [path]
    problems = [f"{file} does not exist" for file in files if not file.exists()]
    problems += [f"{file} is empty" for file in files if file.exists() and file.stat().st_size == 0]
    raise_if_any(problems)
    kinds = {FORMATS.get(ending(file)) for file in files}
    if len(kinds) != 1 or None in kinds:
        endings = ", ".join(sorted({ending(file) or "(none)" for file in files}))
        raise ConfigurationError([f"{path}: ends in {endings}; expected one kind of {', '.join(FORMATS)}"])
    return str(kinds.pop()), files


def _is_data(relative: Path) -> bool:
    hidden = any(part.startswith((".", "__")) for part in relative.parts)
    return (
        not hidden and ending(relative) in FORMATS and relative.stem.split(".")[0].lower() not in ("readme", "license")
    )


def file_identities(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Path, time of the last change (ns) and size of each file: what a cached copy is known by."""
    return tuple((str(file.resolve()), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def text_rows(
    files: tuple[tuple[str, int, int], ...], columns: tuple[str, ...], sample_by: str, version: int
) -> Iterator[dict[str, str | None]]:
    """The cells of ``columns`` as text, for ``datasets.Dataset.from_generator``.

    Args:
        files: see :func:`file_identities`.
        columns: which cells to keep; null where a row has none.
        sample_by: what one row of a plain text file is: a ``line``, a ``paragraph`` or a ``document``.
        version: :data:`READER_VERSION`.

    Raises:
        ConfigurationError: at the end, with the lines that can't be read, or the columns that no row has.
    """
    problems: list[str] = []
    present: dict[str, None] = {}
    for path, *_ in files:
        for number, row in numbered_rows(Path(path), sample_by, problems):
            present.update(dict.fromkeys(row))
            try:
                cells = {column: as_text(row.get(column)) for column in columns}
            except ValueError as error:
                problems.append(f"{path}, line {number}: {error}")
                continue
            if not problems:
                yield cells
    if not present and not problems:
        problems.append(f"{', '.join(path for path, *_ in files)} has no rows")
    raise_if_any(
        problems[:MAX_SHOWN] + ([f"and {len(problems) - MAX_SHOWN} more such lines"] * (len(problems) > MAX_SHOWN))
    )
    raise_if_any(missing_column_problems(columns, present))


def missing_column_problems(needed: Iterable[str], present: Iterable[str]) -> list[str]:
    """One sentence that names the columns that are missing and those that are there, or none."""
    present = list(present)
    missing = sorted(set(needed) - set(present))
    there = f"there are {', '.join(present)}" if present else "there are none"
    return [f"has no column {', '.join(map(repr, missing))}; {there}"] if missing else []


def as_text(cell: Any) -> str | None:
    """A cell as it is written: numbers in JSON keep their digits, ``true`` stays ``true``, null is None.

    Raises:
        ValueError: if it is a list or an object, or no valid text.
    """
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (list, dict, bytes)):
        raise ValueError(f"holds a {type(cell).__name__} where text was expected")
    text = str(cell)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair is no text; write the whole character") from error
    return text


def numbered_rows(file: Path, sample_by: str, problems: list[str]) -> Iterator[tuple[int, Row]]:
    """The rows of a file with their line numbers, cells as they are; what can't be read is added to ``problems``."""
    try:
        with _open(file) as lines:
            kind = FORMATS[ending(file)]
            if kind == "csv":
                yield from _csv_rows(file, lines, problems)
            elif kind == "text":
                yield from _text_file_rows(lines, sample_by)
            elif kind == "json":
                yield from _json_rows(file, lines, problems)
            else:
                yield from _json_line_rows(file, lines, problems)
    except UnicodeDecodeError:
        problems.append(f"{file}, line {_first_bad_line(file)}: not UTF-8 text; save the file as UTF-8")
    except (OSError, EOFError, zlib.error) as error:
        problems.append(f"{file}: can't be read ({error})")


def _open(file: Path, mode: str = "rt") -> Any:
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8-sig", "newline": ""}
    return gzip.open(file, mode, **text) if file.suffix.lower() == ".gz" else file.open(mode, **text)


def _first_bad_line(file: Path) -> int:
    with _open(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if "\ufffd" in line.decode(errors="replace"):
                return number
    return 1


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _json_line_rows(file: Path, lines: Iterable[str], problems: list[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _loads(line)
        except json.JSONDecodeError as error:
            problems.append(f"{file}, line {number}: not valid JSON ({error.msg} at column {error.colno})")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            problems.append(f"{file}, line {number}: not a JSON object but a {type(row).__name__}")


def _json_rows(file: Path, lines: Any, problems: list[str]) -> Iterator[tuple[int, Row]]:
    """A list of objects; a file of JSON lines under this ending is read as such."""
    text = lines.read()
    try:
        rows = _loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            yield from _json_line_rows(file, text.splitlines(), problems)
        else:
            problems.append(f"{file}, line {error.lineno}: not valid JSON ({error.msg} at column {error.colno})")
        return
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        problems.append(f"{file}: holds a {type(rows).__name__}; expected a list of objects")
        return
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            problems.append(f"{file}, item {number}: not a JSON object but a {type(row).__name__}")


def _csv_rows(file: Path, lines: Any, problems: list[str]) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))  # a cell may be a whole document
    rows = csv.reader(lines, delimiter="\t" if ending(file) == ".tsv" else ",", strict=True)
    try:
        header = next(rows, [])
        if twice := [name for name, count in Counter(header).items() if count > 1]:
            problems.append(f"{file}, line 1: the header names {', '.join(map(repr, twice))} more than once")
            return
        for row in rows:
            if len(row) == len(header):
                yield rows.line_num, dict(zip(header, row, strict=True))
            elif row:
                problems.append(f"{file}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}")
    except csv.Error as error:
        problems.append(f"{file}, line {rows.line_num}: not valid CSV ({error}); check its quotes")


def _text_file_rows(lines: Iterable[str], sample_by: str) -> Iterator[tuple[int, Row]]:
    plain = (line.rstrip("\r\n") for line in lines)
    if sample_by == "line":
        for number, line in enumerate(plain, start=1):
            if line.strip():
                yield number, {"text": line}
    elif sample_by == "document":
        yield 1, {"text": "\n".join(plain)}
    else:
        paragraph: list[str] = []
        for number, line in enumerate([*plain, ""], start=1):
            if line.strip():
                paragraph.append(line)
            elif paragraph:
                yield number - len(paragraph), {"text": "\n".join(paragraph)}
                paragraph = []
