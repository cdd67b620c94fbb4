"""Rows of local text files: every cell exactly as it is written there, every fault with its file and line.

Readers that guess types change text: ``2020-01-01`` becomes a timestamp, ``7.0`` a 7, ``NA`` nothing, and a line with a
comma too many moves all its cells. So JSON lines, CSV and plain text are read here, row by row and as text.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_untrac.data.cells import as_text
from lightning_untrac.data.delimited_files import delimited_rows
from lightning_untrac.data.files import FORMATS, NulBytesError, ending, text_lines, undecodable
from lightning_untrac.data.json_files import json_line_rows, json_rows
from lightning_untrac.data.messages import conversation_text, tools_text
from lightning_untrac.errors import raise_if_any

READER_VERSION = 2
"""Part of the cache's key: raise it when the same file would be read differently."""

MAX_SHOWN = 3
BATCH_ROWS = 1000
BATCH_CHARACTERS = 2**24

Row = dict[str, Any]


def cell_batches(
    files: Iterable[Path],
    columns: Sequence[str],
    sample_by: str,
    messages: str | None = None,
    tools: str | None = None,
    of_classes: Mapping[str, Callable[[Any], str | None]] | None = None,
) -> Iterator[dict[str, list[str | None]]]:
    """The cells of ``columns`` as text, some rows at a time.

    Args:
        files: to read, in order.
        columns: which cells to keep; null where a row has none.
        sample_by: what one row of a plain text file is: a ``line``, a ``paragraph`` or a ``document``.
        messages: the column with conversations, which are kept as JSON text.
        tools: the column with tools, likewise.
        of_classes: what makes text of the cells of columns with classes.

    Raises:
        ConfigurationError: at the end, with the lines that can't be read, or the columns that no row has.
    """
    problems: list[str] = []
    present: dict[str, None] = {}
    converters = (
        dict.fromkeys(columns, as_text) | {messages: conversation_text, tools: tools_text} | dict(of_classes or {})
    )
    batch: dict[str, list[str | None]] = {column: [] for column in columns}
    rows = characters = 0
    for file in files:
        for place, row in placed_rows(file, sample_by, problems, numbers=messages is not None):
            present.update(dict.fromkeys(row))
            try:
                cells = [converters[column](row.get(column)) for column in columns]
            except ValueError as error:
                problems.append(f"{file}, {place}: {error}")
                continue
            if problems:
                continue
            for column, cell in zip(columns, cells, strict=True):
                batch[column].append(cell)
                characters += len(cell or "")
            rows += 1
            if rows == BATCH_ROWS or characters >= BATCH_CHARACTERS:
                yield batch
                batch, rows, characters = {column: [] for column in columns}, 0, 0
    if not present and not problems:
        problems.append(f"{', '.join(map(str, files))} has no rows")
    raise_if_any(
        problems[:MAX_SHOWN] + ([f"and {len(problems) - MAX_SHOWN} more such lines"] * (len(problems) > MAX_SHOWN))
    )
    raise_if_any(missing_column_problems(columns, present))
    if rows:
        yield batch


def missing_column_problems(needed: Iterable[str], present: Iterable[str]) -> list[str]:
    """One sentence that names the columns that are missing and those that are there, or none."""
    present = list(present)
    missing = sorted(set(needed) - set(present))
    there = f"there are {', '.join(map(_visible, present))}" if present else "there are none"
    return [f"has no column {', '.join(map(repr, missing))}; {there}"] if missing else []


def _visible(name: str) -> str:
    return name if name and name == name.strip() and name.isprintable() else repr(name)


def placed_rows(file: Path, sample_by: str, problems: list[str], numbers: bool = False) -> Iterator[tuple[str, Row]]:
    """The rows of a file with where they stand in it, cells as they are.

    Args:
        file: to read.
        sample_by: what one row of a plain text file is.
        problems: what can't be read is added to it.
        numbers: whether numbers in JSON are read as numbers, or as text with all their digits.
    """
    try:
        kind = FORMATS[ending(file)]
        if kind == "csv":
            yield from delimited_rows(file, problems)
        elif kind == "text":
            yield from _text_file_rows(text_lines(file), sample_by)
        elif kind == "json":
            yield from json_rows(file, problems, numbers)
        else:
            yield from json_line_rows(file, problems, numbers)
    except UnicodeDecodeError:
        problems.append(f"{file}, {undecodable(file)}")
    except NulBytesError as error:
        problems.append(f"{file}, {error}")
    except (OSError, EOFError, zlib.error) as error:
        problems.append(f"{file}: can't be read ({error})")


def _text_file_rows(lines: Iterable[str], sample_by: str) -> Iterator[tuple[str, Row]]:
    plain = (line.rstrip("\r\n") for line in lines)
    if sample_by == "line":
        for number, line in enumerate(plain, start=1):
            if line.strip():
                yield f"line {number}", {"text": line}
    elif sample_by == "document":
        yield "line 1", {"text": "\n".join(plain)}
    else:
        paragraph: list[str] = []
        for number, line in enumerate([*plain, ""], start=1):
            if line.strip():
                paragraph.append(line)
            elif paragraph:
                yield f"line {number - len(paragraph)}", {"text": "\n".join(paragraph)}
                paragraph = []
