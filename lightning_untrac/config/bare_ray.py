"""``--ray`` as a switch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def with_bare_ray(arguments: list[Any], groups: Collection[str]) -> list[Any]:
    """Let ``--ray`` stand alone: Ray with its defaults, or with the settings that other arguments give.

    Args:
        arguments: the command line, with the contents of its configurations.
        groups: options of the verb that have settings of their own.

    Example:
        >>> with_bare_ray(["--ray", "--steps", "3"], {"ray"})
        ['--ray={}', '--steps', '3']
        >>> with_bare_ray(["--ray.address", "auto", "--ray"], {"ray"})
        ['--ray.address', 'auto']
    """
    given = [index for index, one in enumerate(arguments) if one in ("--ray", "--ray=true", "--ray=True")]
    if "ray" not in groups or not given:
        return arguments
    dropped = set(given)
    # Only a value that means yes is the flag's own; the parser refuses anything else that stands after it.
    dropped |= {index + 1 for index in given if arguments[index] == "--ray" and arguments[index + 1 :][:1] == ["true"]}
    rest = [argument for index, argument in enumerate(arguments) if index not in dropped]
    configs = [argument for argument in rest if not isinstance(argument, str)]
    set_apart = any(isinstance(argument, str) and argument.startswith("--ray.") for argument in rest)
    if set_apart or any(config.get("ray") for config in configs):
        return rest
    # In the flag's place, because a configuration that comes after it may say otherwise.
    return [*rest[: given[0]], "--ray={}", *rest[given[0] :]]
