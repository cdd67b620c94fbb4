"""What is wrong with a path before it is used, and whether a name that was read from a file is one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes, on the file systems of Linux and macOS."""

FOLDERS = (".untrac", "logs", "plots", "checkpoints", "model", "initial_model", "models", "shards", "episodes")
FILES = (
    *("influence.parquet", "examples.parquet", "comparison.parquet", "measurements.parquet", "summary.parquet"),
    *("distances.parquet", "judgements.parquet", "judged_examples.parquet", "judged_measures.parquet"),
    *("memorisation.parquet", "memorisation_summary.parquet", "memorisation_steps.parquet", "outliers.parquet"),
    *("run.json", "notes.json", "pretrain.json", "config.yaml", "report.html"),
)
"""What a run makes in its folder."""

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""Of stages, methods and datasets: no separators and no leading dot, so that they never lead out of a folder."""


def path_problem(path: Any) -> str | None:
    """Why no file system can hold a path; None if one could.

    Args:
        path: a file or folder that may or may not be there.

    Example:
        >>> path_problem("runs/mine") is None
        True
        >>> path_problem(5)
        '5 is no path but a int; put a name that is a number in quotes'
        >>> path_problem("a" * 300)
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' is longer than a name of a file can be (255 bytes)"
    """
    if not isinstance(path, (str, os.PathLike)):
        return f"{path!r} is no path but a {type(path).__name__}; put a name that is a number in quotes"
    text = os.fspath(path)
    if not text.strip():
        return f"{text!r} is empty; give a path"
    if "\0" in text:
        return f"{_short(text)} holds a NUL character, which no path can"
    try:
        parts = [part.encode(errors="surrogateescape") for part in Path(text).parts]
    except UnicodeEncodeError:
        return f"{_short(text)} holds half a character (a lone surrogate), which no path can"
    if any(len(part) > LONGEST_NAME for part in parts):
        return f"{_short(text)} is longer than a name of a file can be ({LONGEST_NAME} bytes)"
    if sum(map(len, parts)) + len(parts) > LONGEST_PATH:
        return f"{_short(text)} is longer than a path can be ({LONGEST_PATH} bytes)"
    if text.startswith("~"):
        try:
            Path(text).expanduser()
        except RuntimeError:
            return f"{_short(text)}: there is no user {text.split('/')[0][1:]!r} on this machine"
    return None


def is_file_name(name: Any) -> bool:
    """Whether something that was read from a file may become a part of a path: one name, which stays in its folder.

    Example:
        >>> [is_file_name(name) for name in ("trace-untrac", "../x", "a/b", "..", "", 5)]
        [True, False, False, False, False, False]
    """
    return isinstance(name, str) and FILE_NAME.fullmatch(name) is not None


def in_the_way(folder: Path) -> list[str]:
    """Files that lie where a run needs a folder, and folders that lie where it needs a file.

    Args:
        folder: the output folder.
    """
    found = [
        f"{folder / name} is a file, and a folder of that name is needed; move it away"
        for name in FOLDERS
        if os.path.lexists(folder / name) and not (folder / name).is_dir()
    ]
    return found + [
        f"{folder / name} is a folder, and a file of that name is needed; move it away"
        for name in FILES
        if (folder / name).is_dir()
    ]


def _short(text: str) -> str:
    return repr(text if len(text) < 40 else f"{text[:29]}...")
