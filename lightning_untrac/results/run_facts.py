"""What ``run.json`` and ``notes.json`` may hold: a field of another type is passed over, not stumbled over."""

from __future__ import annotations

from typing import Any


def sound_facts(content: Any) -> dict[str, Any]:
    """The fields of ``run.json`` that are what they should be.

    Args:
        content: as it was read.

    Example:
        >>> sound_facts({"title": "mine", "data": 5, "costs": [{"step": "a", "seconds": 1, "peak_memory_mb": 2}, 7]})
        {'title': 'mine', 'costs': [{'step': 'a', 'seconds': 1, 'peak_memory_mb': 2}]}
    """
    if not isinstance(content, dict):
        return {}
    found: dict[str, Any] = {key: value for key, value in content.items() if isinstance(value, _TYPES.get(key, object))}
    for key, needed in (("data", {"name", "role"}), ("costs", {"step", "seconds", "peak_memory_mb"})):
        if key in found:
            found[key] = [entry for entry in found[key] if isinstance(entry, dict) and needed <= entry.keys()]
    return found


def sound_notes(content: Any) -> list[dict[str, Any]]:
    """The entries of ``notes.json`` that have a level and a text.

    Args:
        content: as it was read.
    """
    notes = content if isinstance(content, list) else []
    return [note for note in notes if isinstance(note, dict) and {"level", "text"} <= note.keys()]


_TYPES: dict[str, type] = {
    **dict.fromkeys(("title", "asked", "command"), str),
    **dict.fromkeys(
        (
            *("versions", "methods", "measures", "example_texts", "commands", "endings", "cards", "answers"),
            *("training_seconds", "examinations", "examined"),
        ),
        dict,
    ),
    **dict.fromkeys(("data", "costs"), list),
}
