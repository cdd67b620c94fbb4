"""Another class than the default takes its own defaults, not those of the class that it stands in for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pydoc import locate
from typing import Any

from jsonargparse import Namespace

from lightning_untrac.config.command_line import settings
from lightning_untrac.config.strict_yaml import load_strictly

LEVELS = ("class_path", "init_args")
"""What the parser puts between a setting and the names of its arguments."""


def own_defaults(config: Namespace, defaults: Callable[[], Namespace], arguments: Sequence[Any]) -> None:
    """Give an optimizer its own defaults, where the user named another class than the default one.

    The parser keeps arguments that both classes take: ``--model.optimizer torch.optim.SGD`` would have AdamW's weight
    decay, which nobody asked for.

    Args:
        config: as parsed, changed in place.
        defaults: gives those of the parser.
        arguments: the command line, with the contents of its configurations.

    Example:
        >>> def model(path, **arguments):
        ...     held = Namespace(class_path=path, init_args=Namespace(**arguments))
        ...     return Namespace(model=Namespace(init_args=Namespace(optimizer=held)))
        >>> config = model("torch.optim.SGD", lr=0.1, weight_decay=0.01)
        >>> former = model("torch.optim.AdamW", lr=0.001, weight_decay=0.01)
        >>> own_defaults(config, lambda: former, ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=.1"])
        >>> config.model.init_args.optimizer.init_args.as_dict()
        {'lr': 0.1, 'weight_decay': 0}
    """
    given, held = set(_given(arguments)), config.get("model.init_args.optimizer")
    if "model.optimizer" not in given or not isinstance(held, Namespace):
        return  # most command lines, for which the defaults are not looked up
    former = defaults().get("model.init_args.optimizer")
    if not isinstance(former, Namespace) or held.class_path == former.class_path:
        return
    own = inspect.signature(locate(held.class_path)).parameters  # type: ignore[arg-type]
    for key, value in former.get("init_args", Namespace()).items():
        inherited = key in own and f"model.optimizer.{key}" not in given and held.init_args.get(key) == value
        if inherited and own[key].default is not inspect.Parameter.empty:
            held.init_args[key] = own[key].default


def _given(arguments: Sequence[Any]) -> Iterator[str]:
    """Names of the settings that a command line gives, without the parser's own levels."""
    for name, value, _ in settings(arguments):
        path = ".".join(level for level in name.split(".") if level not in LEVELS)
        yield path
        is_mapping = isinstance(value, str) and value.startswith("{")
        yield from _names(load_strictly(value, f"--{name}") if is_mapping else value, path)


def _names(value: Any, before: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            name = before if key in LEVELS else f"{before}.{key}".lstrip(".")
            yield name
            yield from _names(part, name)
