"""The folder of an ensemble: which models in it are its members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from lightning_untrac.errors import ConfigurationError

ENSEMBLE: Final = "ensemble.json"
"""What names the members of an ensemble, in its folder: ``{"members": [...]}``, each a folder in it."""


def fit_problems(name_or_path: str | None) -> list[str]:
    """Why a model can't be trained: it is an ensemble.

    Args:
        name_or_path: of the model.
    """
    try:
        members = member_folders(name_or_path)
    except ConfigurationError:  # which `LanguageModule.problems` says
        members = []
    if not members:
        return []
    return [
        f"model: {name_or_path} is an ensemble of {len(members)} models, which is measured and not trained; give one "
        f"of them, such as {members[0]}, or forget more of it by `untrac sisa`"
    ]


def member_folders(name_or_path: str | None) -> list[Path]:
    """The folders of an ensemble's members, in their order; none where a path is no ensemble.

    Args:
        name_or_path: a folder, or a name of the hub.

    Raises:
        ConfigurationError: if it doesn't say which they are, or one is gone.
    """
    if name_or_path is None or not (file := Path(name_or_path) / ENSEMBLE).is_file():
        return []
    try:
        names = json.loads(file.read_text(encoding="utf-8"))["members"]
        sound = bool(names) and all(isinstance(name, str) and name == Path(name).name for name in names)
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise ConfigurationError([f"model: {file} names no members; expected {{'members': [a folder in it, ...]}}"])
    if gone := [name for name in names if not (file.parent / name / "config.json").is_file()]:
        raise ConfigurationError([f"model: {file} names {', '.join(gone)}, which is no model in its folder"])
    return [file.parent / name for name in names]
