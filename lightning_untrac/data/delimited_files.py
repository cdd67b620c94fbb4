"""Rows of tables in text: comma, semicolon or tab between cells, quotation marks where a cell needs them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_untrac.data.files import ending, text_lines

MAX_FIELD = 2**31 - 1
_QUOTED = re.compile(r'"(?:[^"]|"")*"', re.S)
TAB = "\t"

Placed = tuple[str, dict[str, Any]]


def delimited_rows(file: Path, problems: list[str]) -> Iterator[Placed]:
    """The rows of a .csv or .tsv file, with where they stand.

    Quotation marks are read as CSV has them. In tables with tabs, where many programs write cells as they are, a mark
    that is not closed within its line is a letter, if every line has a cell for each column by itself.

    Args:
        file: to read.
        problems: what can't be read is added to it.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))  # a cell may be a whole document
    first = next((line for line in text_lines(file) if line.strip("\r\n")), "")
    delimiter = TAB if ending(file) == ".tsv" else _delimiter(first)
    num_columns = len(next(csv.reader([first], delimiter=delimiter), []))
    if delimiter == TAB and _one_row_a_line(file, num_columns):
        if num_columns == 1 and (lines := _quoted_over_lines(file)):
            problems.append(
                f"{file}, line {lines[0]}: a quotation mark opens here and the next that closes one is in line "
                f"{lines[1]}; one row or several? Save the file as JSON lines"
            )
            return
        rows = _plain(file)
    else:
        rows = _quoted(file, delimiter, num_columns, problems)
    header: list[str] | None = None
    for number, row in rows:
        if header is None:
            header = row
            if twice := [name for name, count in Counter(header).items() if count > 1]:
                problems.append(f"{file}, line {number}: the header names {', '.join(map(repr, twice))} more than once")
                return
        elif len(row) == len(header):
            yield f"line {number}", dict(zip(header, row, strict=True))
        else:
            problems.append(f"{file}, line {number}: {len(row)} fields where the header has {len(header)}")


def _delimiter(header: str) -> str:
    """What stands between the names of the columns: a comma, unless there is none and something else."""
    unquoted = _QUOTED.sub("", header)
    return next((mark for mark in ",;\t|" if mark in unquoted), ",")


def _plain(file: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text_lines(file), start=1):
        if line := line.rstrip("\r\n"):
            yield number, [_unquoted(cell) for cell in line.split(TAB)]


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') and _QUOTED.fullmatch(cell) else cell


def _one_row_a_line(file: Path, num_columns: int) -> bool:
    return all(line.count(TAB) == num_columns - 1 for line in text_lines(file) if line.strip("\r\n"))


def _quoted_over_lines(file: Path) -> tuple[int, int] | None:
    """Of a table with one column, the first line that opens a quotation and the line that closes it."""
    opened = None
    for number, line in enumerate(text_lines(file), start=1):
        line = line.rstrip("\r\n")
        if opened is not None and len(line) - len(line.rstrip('"')) & 1:
            return opened, number
        if opened is None and line.startswith('"') and not _QUOTED.fullmatch(line) and line.count('"') & 1:
            opened = number
    return None


def _quoted(file: Path, delimiter: str, num_columns: int, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    taken: list[int] = []
    rows = csv.reader(_counting(text_lines(file), delimiter, taken), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for row in rows:
            if delimiter == TAB and len(taken) > 1 and set(taken) == {num_columns - 1} and num_columns > 1:
                problems.append(
                    f"{file}, line {begin}: a quotation mark joins it with the lines up to {rows.line_num}, each of "
                    f"which has {num_columns} fields by itself; double the mark, or save the file as JSON lines"
                )
            elif row:
                yield (rows.line_num, row)
            begin = rows.line_num + 1
            taken.clear()
    except csv.Error as error:
        problems.append(f"{file}, line {begin}: not valid CSV ({error}); check its quotes")


def _counting(lines: Iterable[str], delimiter: str, taken: list[int]) -> Iterator[str]:
    """The lines, while ``taken`` gets the number of delimiters in each."""
    for line in lines:
        taken.append(line.count(delimiter))
        yield line
