"""Go on past what is wrong in a command line, so that one message holds everything that is wrong."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from typing import Any


def without(arguments: Sequence[str | dict[str, Any]], key: str) -> list[str | dict[str, Any]]:
    """A command line without one option, in flags and in configurations alike.

    Args:
        arguments: with the contents of configurations.
        key: dotted, as the parser names it.

    Returns:
        What is left; the same where the option is not found, for instance because it is a default.

    Example:
        >>> without(["--steps", "x", {"data": {"batch_size": "y"}}], "steps")
        [{'data': {'batch_size': 'y'}}]
        >>> without([{"data": {"batch_size": "y", "num_workers": 0}}], "data.batch_size")
        [{'data': {'num_workers': 0}}]
    """
    names = {key, key.replace(".init_args", "")}
    found: list[str | dict[str, Any]] = []
    dropping = False
    for argument in arguments:
        if not isinstance(argument, str):
            argument = deepcopy(argument)
            _take(argument, key.split("."))
            dropping = False
        elif argument.startswith("--"):
            name = argument.removeprefix("--").partition("=")[0].rstrip("+").replace(".init_args", "")
            dropping = any(f"{name}.".startswith(f"{whole}.") for whole in names)
        if not dropping:
            found.append(argument)
    return found


def _take(content: dict[Any, Any], path: list[str]) -> bool:
    """Take one option out of a mapping; whether it was there."""
    first, *rest = path
    # The parser's path of an entry of a list ends at the list.
    if first in content and (not rest or not isinstance(content[first], dict)):
        del content[first]
        return True
    return bool(rest) and isinstance(content.get(first), dict) and _take(content[first], rest)


def nowhere() -> str:
    """An empty folder that goes when the process ends, in place of an output folder that was not given."""
    folder = tempfile.mkdtemp(prefix="untrac-no-output-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def apart_from_consequences(problems: Sequence[str], before: Sequence[str]) -> list[str]:
    """Those problems that do not merely follow from options that were left out as wrong.

    Args:
        problems: found without those options.
        before: what was wrong with the options.

    Example:
        >>> apart_from_consequences(
        ...     ["corpora: none given; name at least one", "test_sets: none given; name at least one"],
        ...     ["data.corpra: unknown key; did you mean 'corpora'? there are batch_size, test_sets"],
        ... )
        ['test_sets: none given; name at least one']
    """
    said = " ".join(problem.partition("there are ")[0] for problem in before)
    found = []
    for problem in problems:
        missing = re.match(r"(?:[\w.]*\.)?(\w+): (?:(?:none|not|neither) given|give either)", problem)
        if missing is None or not re.search(rf"\b{missing[1]}\b", said):
            found.append(problem)
    return found
