"""Folders that are copies of hub datasets, which are read as the hub would: by configuration and split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from lightning_untrac.data.files import file_identities
from lightning_untrac.paths import path_problem

SAVED = ("dataset_dict.json", "state.json")
"""What a folder made by ``save_to_disk`` has one of."""

CARD = "README.md"
"""What says, at its beginning, which configurations a dataset of the hub has, and in which files they are."""


def is_hub_copy(folder: Path) -> bool:
    """Whether a folder has a card that names configurations, as a downloaded dataset of the hub has.

    Example:
        >>> is_hub_copy(Path("no/such/folder"))
        False
    """
    card = folder / CARD
    if any((folder / name).is_file() for name in SAVED):
        return False
    try:
        begin, marked, rest = card.read_text(encoding="utf-8").partition("---\n")
        said = yaml.safe_load(rest.partition("\n---")[0]) if marked and not begin.strip() else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(said, dict) and bool(said.get("configs"))


def cache_of(folder: Path, cache_folder: Path) -> Path:
    """Where ``datasets`` keeps what it makes of a copy; another place once a file of the copy has changed.

    Its own cache knows a configuration of a folder by its name alone, and would go on giving the old rows.

    Args:
        folder: the copy.
        cache_folder: in which the place is.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return cache_folder / f"copy-{hashlib.sha256(json.dumps(file_identities(files)).encode()).hexdigest()[:24]}"


def hub_only_problems(path: str, given: Sequence[str]) -> list[str]:
    """Why options that only datasets of the hub have do not go with a path that is here.

    Args:
        path: of the dataset.
        given: names of the options, of ``split``, ``subset`` and ``revision``.

    Returns:
        A sentence, or none.
    """
    if not given or not path or path_problem(path):
        return []
    here = Path(path).expanduser()
    if is_hub_copy(here):
        return [f"{path} is a folder, which has no revision; leave out revision"] if "revision" in given else []
    if here.is_file():
        what = "a file; leave out"
    elif here.is_dir() and not any((here / name).is_file() for name in SAVED):
        what = "a folder, all of whose files are read; name those that are meant"
    else:
        return []
    return [f"{' and '.join(given)} belong to a hub dataset, and {path} is {what}"]
