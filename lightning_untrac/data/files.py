"""Local data files: which there are, of what kind they are, and how their text is encoded."""

from __future__ import annotations

import codecs
import glob
import gzip
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

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte-order marks, the longer ones first because they begin like the shorter ones."""


class NulBytesError(ValueError):
    """A text file holds NUL bytes."""


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
    if path.is_dir() and path.resolve() == Path(path.resolve().anchor):
        raise ConfigurationError([f"{path} is the root of the disk; name the folder in which the data files are"])
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_data(file.relative_to(path)) and not file.is_dir())
        if not files:
            raise ConfigurationError([f"the folder {path} holds no file ending in {', '.join(FORMATS)}"])
    elif not path.exists() and any(c in str(path) for c in "*?["):
        files = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        files = [file for file in files if _is_data(Path(file.name)) and not file.is_dir()]
        if not files:
            raise ConfigurationError([f"no file ending in {', '.join(FORMATS)} matches {path}"])
    else:
        files = [path]
    problems = [
        f"{file} is a link to a file that does not exist" if file.is_symlink() else f"{file} does not exist"
        for file in files
        if not file.exists()
    ]
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


# -- text --------------------------------------------------------------------------------------------------------------


def open_bytes(file: Path) -> Any:
    """The file's content, unpacked where its name ends in .gz."""
    return gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb")


def open_text(file: Path) -> Any:
    """The file's text: UTF-8, or what a byte-order mark at its beginning says; line ends as they are."""
    with open_bytes(file) as content:
        begin = content.read(4)
    encoding = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "utf-8-sig")
    if file.suffix.lower() == ".gz":
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def text_lines(file: Path) -> Iterator[str]:
    """The lines of a file, with their ends; only line feeds and carriage returns end one.

    Raises:
        NulBytesError: at the first line with a NUL byte, which a file has that was cut off while it was written.
        UnicodeDecodeError: if it isn't encoded as it says.
        OSError: if it can't be read.
    """
    with open_text(file) as lines:
        for number, line in enumerate(lines, start=1):
            refuse_nul(line, number)
            yield line


def refuse_nul(text: str, number: int = 1) -> None:
    """Refuse NUL bytes.

    Args:
        text: of a file.
        number: of its first line.

    Raises:
        NulBytesError: naming the line of the first one.
    """
    if "\0" in text:
        number += text.count("\n", 0, text.index("\0"))
        raise NulBytesError(
            f"line {number}: holds NUL bytes, as a file does that was cut off while it was written; take them out"
        )


def undecodable(file: Path) -> str:
    """Which line of a file can't be decoded, and what to do about it."""
    with open_bytes(file) as content:
        if content.read(2) == b"\x1f\x8b":
            return "packed with gzip; let its name end in .gz"
    with open_bytes(file) as lines:
        for number, line in enumerate(lines, start=1):
            if "\ufffd" in line.decode(errors="replace"):
                return f"line {number}: not UTF-8 text; save the file as UTF-8"
    return "line 1: not UTF-8 text; save the file as UTF-8"
