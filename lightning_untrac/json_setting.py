"""A setting that is given as it is, or as a JSON file that holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning_untrac.errors import ConfigurationError


def from_json(given: Any, key: str) -> Any:
    """What a setting holds.

    Args:
        given: the path of a JSON file, or the value itself.
        key: what the setting is called in messages.

    Raises:
        ConfigurationError: if the file can't be read.

    Example:
        >>> from_json({"a": ["b"]}, "synonyms")
        {'a': ['b']}
    """
    if not isinstance(given, str):
        return given
    try:
        return json.loads(Path(given).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{key}: {given} can't be read as JSON ({error})"]) from error
