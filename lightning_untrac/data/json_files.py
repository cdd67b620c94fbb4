"""Rows of JSON files, one object a line or however they are laid out."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_untrac.data.files import open_text, refuse_nul, text_lines

Row = dict[str, Any]
Placed = tuple[str, Row]
"""Where in its file a row stands, and its cells."""


def json_line_rows(file: Path, problems: list[str], numbers: bool = False) -> Iterator[Placed]:
    """One object a line; a file that holds one JSON text over several lines all the same is read as such.

    Args:
        file: to read.
        problems: what can't be read is added to it.
        numbers: whether numbers are read as numbers, or as text with all their digits.
    """
    load = _loader(numbers)
    first = next((line for line in text_lines(file) if line.strip()), "").strip()
    if first.startswith(("[", "{")) and not _is_object(first, load):
        with open_text(file) as content:
            text = content.read()
        found: list[str] = []
        rows = list(_whole(file, text, load, found))
        if not found:
            yield from rows
            return
    yield from _lines(file, text_lines(file), load, problems)


def json_rows(file: Path, problems: list[str], numbers: bool = False) -> Iterator[Placed]:
    """A list of objects, one object, or several after one another; JSON lines under this ending are read as such.

    Args:
        file: to read.
        problems: what can't be read is added to it.
        numbers: see :func:`json_line_rows`.
    """
    load = _loader(numbers)
    with open_text(file) as content:
        text = content.read()
    refuse_nul(text)
    lines = io.StringIO(text)  # a line ends at a line feed alone: other separators may stand in a text
    first = next((line for line in lines if line.strip()), "").strip()
    if _is_object(first, load) and any(line.strip() for line in lines):
        yield from _lines(file, io.StringIO(text), load, problems)
    else:
        yield from _whole(file, text, load, problems)


def _lines(file: Path, lines: Iterable[str], load: json.JSONDecoder, problems: list[str]) -> Iterator[Placed]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = load.decode(line.removeprefix("\ufeff"))  # files that were put together have one in their middle
        except json.JSONDecodeError as error:
            problems.append(f"{file}, line {number}: not valid JSON ({error.msg} at column {error.colno})")
            continue
        except (ValueError, RecursionError) as error:
            problems.append(f"{file}, line {number}: {_said(error)}")
            continue
        if isinstance(row, dict):
            yield f"line {number}", row
        else:
            problems.append(f"{file}, line {number}: not a JSON object but a {type(row).__name__}")


def _whole(file: Path, text: str, load: json.JSONDecoder, problems: list[str]) -> Iterator[Placed]:
    """Objects in one list, or after one another."""
    values: list[tuple[str, Any]] = []
    position, line, counted = 0, 1, 0
    while True:
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        if position == len(text):
            break
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position = load.raw_decode(text, position)
        except json.JSONDecodeError as error:
            problems.append(f"{file}, line {error.lineno}: not valid JSON ({error.msg} at column {error.colno})")
            return
        except (ValueError, RecursionError) as error:
            problems.append(f"{file}, line {line}: {_said(error)}")
            return
        values.append((f"line {line}", value))
    if len(values) == 1 and isinstance(values[0][1], list):
        values = [(f"item {number}", value) for number, value in enumerate(values[0][1], start=1)]
    elif len(values) == 1 and not isinstance(values[0][1], dict):
        problems.append(f"{file}: holds a {type(values[0][1]).__name__}; expected a list of objects")
        return
    for place, value in values:
        if isinstance(value, dict):
            yield place, value
        else:
            problems.append(f"{file}, {place}: not a JSON object but a {type(value).__name__}")


@functools.cache
def _loader(numbers: bool) -> json.JSONDecoder:
    digits: dict[str, Any] = {} if numbers else {"parse_int": str, "parse_float": str}
    return json.JSONDecoder(**digits, parse_constant=_constant, object_pairs_hook=_unique)


def _constant(name: str) -> str | None:
    """``NaN``, which pandas writes where a value is missing, is null; infinities are as they are written."""
    return None if name == "NaN" else name


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names {next(name for name in names if names.count(name) > 1)!r} more than once")
    return row


def _is_object(text: str, load: json.JSONDecoder) -> bool:
    try:
        return isinstance(load.decode(text), dict)
    except (ValueError, RecursionError):
        return False


def _said(error: Exception) -> str:
    return "objects in objects, too deep to read" if isinstance(error, RecursionError) else str(error)
