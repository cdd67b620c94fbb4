"""YAML as a user means it: plain values, and each key once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.paths import path_problem
from lightning_untrac.verb import Arguments

DEEPEST = 100
"""Nesting beyond this is no configuration; the parser would end in a ``RecursionError``."""


LARGEST = 1_000_000
"""More values are no configuration."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps the last of two equal keys without a word."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                where = f"lines {first[key.value]} and {line}" if line != first[key.value] else f"line {line}"
                self.repeated.append(f"{key.value!r} is given twice ({where})")
            first.setdefault(key.value, line)
        super().flatten_mapping(node)


def load_strictly(text: str, where: str) -> Any:
    r"""Read YAML.

    Args:
        text: one document.
        where: begins each sentence about what is wrong, e.g. ``config: mine.yaml``.

    Raises:
        ConfigurationError: if it is no YAML, holds tags that make objects or values that hold themselves, or gives a
            key twice.

    Example:
        >>> load_strictly("steps: 5", "config: mine.yaml")
        {'steps': 5}
        >>> load_strictly("steps: 5\nseed: 1\nsteps: 6", "config: mine.yaml")
        Traceback (most recent call last):
            ...
        lightning_untrac.errors.ConfigurationError: 1 problem to mend before this can run:
          - config: mine.yaml: 'steps' is given twice (lines 1 and 3); keep one of them
    """
    loader = None
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
        if _size(content, {}) > LARGEST:
            raise ValueError(f"it holds more than {LARGEST:,} values")
    except Exception as error:  # PyYAML ends in errors of many classes where a value does not fit its tag
        raise ConfigurationError([f"{where} is no YAML that untrac reads: {_cause(error)}"]) from error
    finally:
        if loader is not None:
            loader.dispose()
    if loader.repeated:
        raise ConfigurationError(
            [f"{where}: {repeated}; keep one of them" for repeated in dict.fromkeys(loader.repeated)]
        )
    return content


def _size(value: Any, sizes: dict[int, int]) -> int:
    """Values in a value: aliases of aliases are short to write and endless to read."""
    if not isinstance(value, (dict, list, set, tuple)):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = -1
        parts = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(part, sizes) for part in parts)
    if sizes[id(value)] < 0:
        raise ValueError("a value holds itself")
    return sizes[id(value)]


def _cause(error: Exception) -> str:
    """One line of the parser's several, with the place."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        return f"{error.problem}{place}"
    return (str(error).splitlines() or [type(error).__name__])[0]


def with_contents(argv: Arguments) -> list[str | Mapping[str, Any]]:
    """A command line with each configuration file's content in place of ``--config FILE``.

    Raises:
        ConfigurationError: if a file is missing, no yaml, or no mapping.
    """
    found, rest = list[str | Mapping[str, Any]](), list(argv)
    while rest:
        argument = rest.pop(0)
        if isinstance(argument, str) and argument.startswith("--config="):
            argument = load_yaml(argument.removeprefix("--config="))
        elif argument == "--config" and rest:
            following = rest.pop(0)
            argument = load_yaml(following) if isinstance(following, str) else following
        found.append(argument)
    return found


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a yaml mapping.

    Raises:
        ConfigurationError: if the file is missing, no yaml, or no mapping.
    """
    if problem := path_problem(path):
        raise ConfigurationError([f"config: {problem}"])
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigurationError([f"config: there is no file {os.fspath(path)}"])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigurationError([f"config: can't read {path} ({error})"]) from error
    return _mapping(text, f"config: {path}")


def _mapping(text: str, where: str) -> dict[str, Any]:
    content = load_strictly(text, where)
    if content is None:
        raise ConfigurationError([f"{where} is empty"])
    if not isinstance(content, dict):
        raise ConfigurationError([f"{where} holds a {type(content).__name__}; expected a mapping of options"])
    return {str(key): value for key, value in content.items()}
