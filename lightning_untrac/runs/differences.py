"""Whether two runs of a stage are one experiment: their settings, and what their files hold, not where these lie."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

DATA_CONTENT = "data_content."
"""Prefix of the keys that hold a digest of each dataset's texts."""

DATA_PLACE = re.compile(r"data\.(corpora|test_sets|forget|holdout)\.\d+\.path")
"""Keys that hold where a dataset lies."""

UNREAD = re.compile(r"data\.(forget|holdout)\.\d+\.\w+")
"""Keys of datasets that neither training nor a trace reads."""

CONTENT_OF = {
    "model.init_args.name_or_path": "model_files",
    "model.init_args.tokenizer": "tokenizer_files",
    "trained_model": "trained_model_files",
}
"""Keys that hold where a folder lies, with the key that holds a digest of what is in it."""

SHOWN = 4
"""So many settings are named in a message."""


def different_keys(
    before: dict[str, Any], now: dict[str, Any], ignore: Collection[str] = (), *, more_seeds: bool = False
) -> list[str]:
    """The settings and contents in which two flat identities (see :func:`identity.flat`) differ.

    Paths count only where there is no digest of what they lead to, and then as places: ``a/b`` is ``./a/b``.

    Args:
        before: of the results that are there.
        now: of what is asked for.
        ignore: keys that may differ.
        more_seeds: whether other seeds are no difference: more seeds are more episodes beside the finished ones.
    """
    keys = {key for key in before.keys() | now.keys() if key not in ignore}
    if more_seeds:
        keys = {key for key in keys if not key.startswith("seeds.")}
    both_read = all(any(key.startswith(DATA_CONTENT) for key in side) for side in (before, now))
    # Written by a version that knew no such digest, or of the hub: then the place tells them apart.
    keys -= {key for key in CONTENT_OF.values() if (key in before) != (key in now)}
    if not both_read:  # a stage that is finished, or not yet begun, has not read its data
        keys = {key for key in keys if not key.startswith(DATA_CONTENT)}
    return sorted(
        key
        for key in keys
        if before.get(key) != now.get(key) and not _same_thing(key, before, now, both_read=both_read)
    )


def without_unread(settings: dict[str, Any]) -> dict[str, Any]:
    """What a training or a trace was made with, without datasets that it did not read: versions before wrote them down.

    Args:
        settings: a flat identity.

    Example:
        >>> without_unread({"data.holdout.0.name": "new", "data_content.new": "1f", "data_content.old": "2e"})
        {'data_content.old': '2e'}
    """
    unread = {key for key in settings if UNREAD.fullmatch(key)}
    content = {f"{DATA_CONTENT}{settings[key]}" for key in unread if key.endswith(".name")}
    unread |= content | {f"{key}.alternative" for key in content}
    return {key: value for key, value in settings.items() if key not in unread}


def _same_thing(key: str, before: dict[str, Any], now: dict[str, Any], *, both_read: bool) -> bool:
    """Whether two paths lead to the same, or are told apart by another key."""
    if DATA_PLACE.fullmatch(key):
        return both_read or same_place(before.get(key), now.get(key))
    if (content := CONTENT_OF.get(key)) is not None:
        return (content in before and content in now) or same_place(before.get(key), now.get(key))
    return same_place(before.get(key), now.get(key), there=True)


def same_place(one: Any, other: Any, there: bool = False) -> bool:
    """Whether two values are spellings of one path.

    Args:
        one: a value.
        other: another.
        there: whether something has to be there, so that two texts which are no paths are not taken for some.

    Example:
        >>> same_place("a/b.txt", "./a/../a/b.txt"), same_place("a", "b"), same_place(1, 1.0)
        (True, False, False)
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    try:
        paths = [Path(value).expanduser().resolve() for value in (one, other)]
        return paths[0] == paths[1] and (not there or paths[0].exists())
    except (OSError, ValueError, RuntimeError):  # no path at all
        return False


def refusal(
    folder: Path,
    stage: str,
    keys: Sequence[str],
    before: dict[str, Any],
    now: dict[str, Any],
    changed: Sequence[str],
    named: bool = False,
) -> list[str]:
    """Why a stage can't go on with results that were made otherwise, and what to do.

    Args:
        folder: the output folder.
        stage: e.g. ``trace-untrac``.
        keys: what :func:`different_keys` found.
        before: of the results that are there.
        now: of what is asked for.
        changed: which files of the data are others than they were, a phrase each.
        named: whether several runs of the verb can stand beside each other, each with a `name`.
    """
    found = []
    beside = "give this run a name of its own (--name NAME) to keep both, " if named else ""
    data = [key.removeprefix(DATA_CONTENT) for key in keys if key.startswith(DATA_CONTENT)]
    settings = [f"{key}: {before.get(key)!r} there, {now.get(key)!r} now" for key in keys if DATA_CONTENT not in key]
    if data and (changed or not settings):
        what = changed or [f"{name}: its texts, or the tokens that they become, are others" for name in data]
        found.append(
            f"output: {folder} holds results of '{stage}' that were made from other data ({'; '.join(what)}); put the "
            "old data back, name another folder, or add --overwrite to throw the results away"
        )
    elif data:
        settings += [f"{key}: {before.get(key)!r} there, {now.get(key)!r} now" for key in keys if DATA_CONTENT in key]
    if settings:
        more = f"; and {len(settings) - SHOWN} more" if len(settings) > SHOWN else ""
        found.append(
            f"output: {folder} holds results of '{stage}' with other settings "
            f"({'; '.join(settings[:SHOWN])}{more}); {beside}name another folder, or add --overwrite to throw them away"
        )
    return found
