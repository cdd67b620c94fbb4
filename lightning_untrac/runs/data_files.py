"""What the files of the datasets hold, so that a finished stage notices in a moment that one of them was edited."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.files import find_files
from lightning_untrac.data.prepared import PreparedDataModule
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.tables.checksums import file_digest

Record = dict[str, Any]
"""Of each entry of the configuration (``corpora.0``): ``name``, ``path``, and ``files``, each with its ``path``,
``size`` in bytes, ``changed_ns`` and ``sha256``."""

NAMED_AT_MOST = 3


@dataclass
class Look:
    """What a look at the files of the datasets found.

    Attributes:
        same: configuration keys of the paths whose files hold what they held.
        changed: files that hold something else now, a phrase each.
        gone: datasets whose files are not there, a phrase each.
        moved: whether something is the same in another place or with another time, so that the record is out of date.
    """

    same: set[str] = field(default_factory=set)
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    moved: bool = False


def configured(data: PreparedDataModule, roles: Iterable[str]) -> dict[str, DatasetConfig]:
    """The entries of some lists by their place in the configuration, e.g. ``corpora.0``."""
    return {f"{role}.{index}": config for role in roles for index, config in enumerate(getattr(data, role))}


def local_files(config: DatasetConfig) -> list[Path]:
    """The local files that a dataset is read from, in order; none for built-in ones and those of the hub.

    Raises:
        ConfigurationError: if they are not there.
    """
    path = Path(config.path).expanduser()
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return find_files(path)[1]


def take(entries: Mapping[str, DatasetConfig]) -> Record:
    """Size and time of every local file, before it is read; :func:`with_digests` adds what it holds."""
    record: Record = {}
    for key, config in entries.items():
        try:
            files = local_files(config)
        except (ConfigurationError, OSError, ValueError):  # of the hub, built in, or not there, which others say
            continue
        record[key] = {"name": config.name or config.path, "path": config.path, "files": [_stat(f) for f in files]}
    return record


def _stat(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"path": str(path.resolve()), "size": status.st_size, "changed_ns": status.st_mtime_ns}


def with_digests(record: Record) -> Record:
    """The record with the SHA-256 of every file; None for one that has changed since :func:`take`."""
    return {key: {**entry, "files": [_with_digest(file) for file in entry["files"]]} for key, entry in record.items()}


def _with_digest(file: dict[str, Any]) -> dict[str, Any]:
    path = Path(file["path"])
    try:
        return {**file, "sha256": file_digest(path) if _stat(path) == file else None}
    except OSError:
        return {**file, "sha256": None}


def look(record: Any, entries: Mapping[str, DatasetConfig]) -> Look:
    """Hold the files of the datasets against what they held.

    A file with the same path, size and time is not read. Digests are compared otherwise.

    Args:
        record: what was written with the results; anything else that an unknown version or a fault has left is passed
            over, as if nothing were known.
        entries: see :func:`configured`.
    """
    found = Look()
    for key, config in entries.items():
        entry: Any = record.get(key) if isinstance(record, dict) else None
        if not _is_entry(entry):
            continue
        name = config.name or config.path
        try:
            files = local_files(config)
        except (ConfigurationError, OSError, ValueError):
            found.gone.append(f"{name} ({config.path})")
            continue
        before = entry["files"]
        changed = [path for path, known in zip(files, before, strict=False) if not _unchanged(path, known, found)]
        changed += files[len(before) :]
        missing = [Path(known["path"]) for known in before[len(files) :]]
        if changed or missing:
            more = len(changed) + len(missing) - NAMED_AT_MOST
            named = [str(path) for path in [*changed, *missing][:NAMED_AT_MOST]]
            found.changed.append(
                f"{name}: {', '.join(named)}{f' and {more} more' if more > 0 else ''} has changed since"
            )
        else:
            found.same.add(f"data.{key}.path")
            found.moved |= entry["path"] != config.path
    return found


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("files"), list) or "path" not in entry:
        return False
    return all(
        isinstance(file, dict) and {"path", "size", "changed_ns", "sha256"} <= file.keys() for file in entry["files"]
    )


def _unchanged(path: Path, known: dict[str, Any], found: Look) -> bool:
    now = _stat(path)
    if known["sha256"] is not None and now == {name: known[name] for name in now}:
        return True
    if known["sha256"] is None or now["size"] != known["size"] or not os.access(path, os.R_OK):
        return False
    same = file_digest(path) == known["sha256"]
    found.moved |= same
    return bool(same)
