"""``untrac unlearn --method task_vector --method.coefficient 2``: a method's class by its short name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lightning_untrac.config.command_line import settings
from lightning_untrac.config.keys import parameters, unknown_key
from lightning_untrac.config.strict_yaml import load_strictly
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.forgetting import FORGETTING_METHODS, ForgettingMethod

METHOD: Final = "method"


def with_method_class(argv: Sequence[Any], verb: str) -> tuple[list[Any], list[str]]:
    """A command line with class paths in place of the methods' names.

    Args:
        argv: flags, and the contents of configurations.
        verb: for messages.

    Returns:
        The command line, without what is wrong; and what is wrong: unknown names, and settings of another method.

    Example:
        >>> with_method_class(["--method=task_vector", "--steps=3"], "unlearn")[0]
        ['--method=lightning_untrac.forgetting.task_vector.TaskVector', '--steps=3']
    """
    problems: list[str] = []
    found: list[Any] = []
    own: list[tuple[str, str]] = []
    method: type[ForgettingMethod] | None = None
    for name, value, pieces in settings(argv):
        if isinstance(value, Mapping):
            content = dict(value)
            if content.get(METHOD) is not None:
                method, content[METHOD] = _of_content(content[METHOD], verb, problems)
            found.append(content)
        elif name.partition(".")[0] != METHOD or value is None:
            found += pieces
        elif name != METHOD:
            own.append((name, value))
        elif (method := _class(value, problems)) is not None:
            found.append(f"--{METHOD}={_path(method)}")
    if method is None and own and not problems:
        problems.append(f"{own[0][0]}: belongs to a method, and none is named")
    if method is not None:
        known = _settings(method)
        for name, value in own:
            key = name.removeprefix(f"{METHOD}.")
            setting = key.removeprefix("init_args.").partition(".")[0]
            if known is None or setting in known:
                inner = key.removeprefix("init_args.") != setting
                found.append(f"--{name}={value if inner else _part_on_line(method, setting, value, problems)}")
            else:
                problems.append(unknown_key(METHOD, key, known, verb))
    return found, problems


def _of_content(value: Any, verb: str, problems: list[str]) -> tuple[type[ForgettingMethod] | None, Any]:
    """The class of a configuration's ``method``, and what the parser is to read."""
    given = {"class_path": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or not isinstance(given.get("class_path"), str):
        problems.append(f"method: got {value!r}; give a name such as task_vector, or class_path and init_args")
        return None, None
    method = _class(given["class_path"], problems)
    if method is None:
        return None, None
    known, args = _settings(method), dict(given.get("init_args") or {})
    for key in [key for key in args if known is not None and key not in known]:
        problems.append(unknown_key(METHOD, key, known or (), verb))
        del args[key]
    args = {key: _part(method, key, value, problems) for key, value in args.items()}
    return method, {"class_path": _path(method), "init_args": args}


def _part(method: type[ForgettingMethod], key: str, value: Any, problems: list[str]) -> Any:
    """A setting, with the class path of a part of the method in place of its short name."""
    registry = method.parts.get(key)
    name = value.get("class_path") if isinstance(value, Mapping) else value
    if registry is None or not isinstance(name, str):
        return value
    try:
        path = _path(registry.find(name))
    except ConfigurationError as error:
        problems += [f"{METHOD}.{problem}" for problem in error.problems]
        return None
    return {**value, "class_path": path} if isinstance(value, Mapping) else path


def _part_on_line(method: type[ForgettingMethod], key: str, value: str, problems: list[str]) -> str:
    """The same of a flag, whose value may be a mapping in JSON."""
    if key not in method.parts:
        return value
    given = load_strictly(value, f"--{METHOD}.{key}") if value.startswith("{") else value
    found = _part(method, key, given, problems)
    return found if isinstance(found, str) else json.dumps(found)


def _class(name: str, problems: list[str]) -> type[ForgettingMethod] | None:
    try:
        return FORGETTING_METHODS.find(name)
    except ConfigurationError as error:
        problems += error.problems
        return None


def _settings(method: type[ForgettingMethod]) -> set[str] | None:
    return parameters(method) if "__init__" in vars(method) else set()


def _path(method: type[Any]) -> str:
    return f"{method.__module__}.{method.__qualname__}"
