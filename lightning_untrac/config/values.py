"""Values that no verb can use, whatever the option: paths that cannot be, characters that no file name has, seeds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from lightning_untrac.paths import path_problem

PATHS = {
    *("output", "config", "cache_folder", "default_root_dir", "save", "shards", "trained_model", "reference", "path"),
    *("name_or_path", "tokenizer"),
}
"""Options that are paths, or names of the hub, which are shorter still."""

SEEDS = {"seed", "seeds", "init_seed", "sample_seed"}

LARGEST = 2**63 - 1
"""Of the integers in tables and tensors."""


def empty_values(options: type, content: dict[str, Any]) -> list[str]:
    """Options that were given as nothing (``seeds: null``) and need a value.

    Args:
        options: a dataclass.
        content: its values.

    Example:
        >>> from dataclasses import make_dataclass
        >>> empty_values(make_dataclass("Options", [("method", str), ("steps", int | None)]), {"method": None})
        ['method: got nothing; give a value, or leave it out']
    """
    kinds = get_type_hints(options)
    return [
        f"{one.name}: got nothing; give a value, or leave it out"
        for one in fields(options)
        if content.get(one.name) is None and type(None) not in get_args(kinds[one.name])
    ]


def value_problems(value: Any, name: str = "") -> list[str]:
    """What is wrong with the values of a configuration, whatever they mean.

    Args:
        value: mappings, lists and plain values.
        name: dotted, of what ``value`` is.

    Example:
        >>> value_problems({"seeds": [0, 2**64], "data": {"batch_size": 10**30}})  # doctest: +NORMALIZE_WHITESPACE
        ['seeds: 18446744073709551616 is too large; give a seed from 0 to 9223372036854775807',
         'data.batch_size: 1000000000000000000000000000000 is too large; give a number of at most 9223372036854775807']
    """
    if isinstance(value, dict):
        return [p for key, part in value.items() for p in value_problems(part, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [p for part in value for p in value_problems(part, name)]
    last = name.rpartition(".")[2]
    if isinstance(value, int) and abs(value) > LARGEST:
        kind = "seed from 0 to" if last in SEEDS else "number of at most"
        return [f"{name}: {value} is too large; give a {kind} {LARGEST}"]
    if last in SEEDS and isinstance(value, int) and value < 0:
        return [f"{name}: {value} is negative; give a seed from 0 to {LARGEST}"]
    if isinstance(value, str):
        if last in PATHS and value.strip() and (problem := path_problem(value)):
            return [f"{name}: {problem}"]
        if "\0" in value or any("\ud800" <= letter <= "\udbff" for letter in value):
            return [f"{name}: {value[:30]!r} holds a NUL character or half a character; no option means that"]
    return []
