"""The lines of a text file of JSON lines."""

from __future__ import annotations

from pathlib import Path


def lines_of(path: Path, errors: str = "strict") -> list[str]:
    r"""The lines of a UTF-8 file, with the line feeds that end them, and ended by nothing else.

    ``str.splitlines`` also cuts at characters such as U+2028, which may stand inside of a JSON text.

    Args:
        path: of the file.
        errors: what becomes of bytes that are no UTF-8, as ``open`` takes it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = path.write_text('"a\u2028b"\n"c', encoding="utf-8")
        >>> [line.encode("ascii", "backslashreplace") for line in lines_of(path)]
        [b'"a\\u2028b"\n', b'"c']
    """
    with path.open(encoding="utf-8", errors=errors, newline="\n") as file:
        return list(file)
