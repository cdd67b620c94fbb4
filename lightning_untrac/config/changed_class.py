"""Another class than the default takes its own defaults, not those of the class that it stands in for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pydoc import locate
from typing import Any

from jsonargparse import Namespace

from lightning_untrac.config.strict_yaml import load_strictly

LEVELS = ("class_path", "init_args")
"""What the parser puts between a setting and the names of its arguments."""


def own_defaults(config: Namespace, defaults: Namespace, arguments: Sequence[Any]) -> None:
    """Give an optimizer its own defaults, where the user named another class than the default one.

    The parser keeps arguments that both classes take: ``--model.optimizer torch.optim.SGD`` would have AdamW's weight
    decay, which nobody asked for.

    Args:
        config: as parsed, changed in place.
        defaults: of the parser.
        arguments: the command line, with the contents of its configurations.

    Example:
        >>> def model(path, **arguments):
        ...     held = Namespace(class_path=path, init_args=Namespace(**arguments))
        ...     return Namespace(model=Namespace(init_args=Namespace(optimizer=held)))
        >>> config = model("torch.optim.SGD", lr=0.1, weight_decay=0.01)
        >>> own_defaults(config, model("torch.optim.AdamW", lr=0.001, weight_decay=0.01), ["--model.optimizer.lr=.1"])
        >>> config.model.init_args.optimizer.init_args.as_dict()
        {'lr': 0.1, 'weight_decay': 0}
    """
    held, former = (one.get("model.init_args.optimizer") for one in (config, defaults))
    if not isinstance(held, Namespace) or not isinstance(former, Namespace) or held.class_path == former.class_path:
        return
    given = set(_given(arguments))
    own = inspect.signature(locate(held.class_path)).parameters  # type: ignore[arg-type]
    for key, value in former.get("init_args", Namespace()).items():
        inherited = key in own and f"model.optimizer.{key}" not in given and held.init_args.get(key) == value
        if inherited and own[key].default is not inspect.Parameter.empty:
            held.init_args[key] = own[key].default


def _given(arguments: Sequence[Any]) -> Iterator[str]:
    """Names of the settings that a command line gives, without the parser's own levels."""
    name = ""
    for argument in arguments:
        if isinstance(argument, Mapping):
            yield from _names(argument, "")
            continue
        flag, _, value = argument.partition("=") if argument.startswith("--") else (name, "", argument)
        name = flag
        path = ".".join(level for level in flag.removeprefix("--").split(".") if level not in LEVELS)
        yield path
        yield from _names(load_strictly(value, flag) if value.startswith("{") else None, path)


def _names(value: Any, before: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            name = before if key in LEVELS else f"{before}.{key}".lstrip(".")
            yield name
            yield from _names(part, name)
