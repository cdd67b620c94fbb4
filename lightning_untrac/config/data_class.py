"""The class of the DataModule that a command line names, in whatever way."""

from __future__ import annotations

from copy import deepcopy
from importlib import import_module
from typing import Any

from lightning_untrac.config.strict_yaml import with_contents
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.verb import Arguments

FLAG = "--data.class_path"


def data_class(argv: Arguments) -> tuple[type[CorpusDataModule], list[Any]]:
    """The DataModule's class, and the command line with its settings as those of any other.

    Args:
        argv: which may say ``data: {class_path: my.DataModule, init_args: {batch_size: 8}}``, or the same in flags
            (``--data my.DataModule --data.batch_size 8``).

    Returns:
        The class that is named last, and the command line with ``data: {batch_size: 8}`` and without the class.

    Raises:
        ConfigurationError: if there is no such class, or it is no :class:`CorpusDataModule`.
    """
    path, found = None, list[Any]()
    rest = with_contents(argv)
    while rest:
        argument = rest.pop(0)
        if isinstance(argument, str):
            flag, equals, value = argument.replace("--data.init_args.", "--data.").partition("=")
            if flag not in (FLAG, "--data") or not (equals or (rest and isinstance(rest[0], str))):
                found.append(f"{flag}{equals}{value}")
                continue
            value = value if equals else str(rest.pop(0))
            if flag == FLAG or _is_path(value):
                path = value
            else:
                found.append(f"{flag}={value}")
            continue
        content = deepcopy(dict(argument))
        settings = content.get("data")
        if isinstance(settings, str) and _is_path(settings):
            settings = {"class_path": settings}
        if isinstance(settings, dict) and "class_path" in settings:
            path = str(settings.pop("class_path"))
        if isinstance(settings, dict) and isinstance(settings.get("init_args"), dict):
            settings = {**settings.pop("init_args"), **settings}
        if settings is not None:
            content["data"] = settings
        found.append(content)
    return CorpusDataModule if path is None else _class_of(path), found


def _is_path(text: str) -> bool:
    parts = text.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _class_of(path: str) -> type[CorpusDataModule]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            [
                f"data.class_path: no class can be imported as {path!r} ({error}); give the path of a class in a "
                "module that is installed or lies on PYTHONPATH"
            ]
        ) from error
    if not (isinstance(found, type) and issubclass(found, CorpusDataModule)):
        raise ConfigurationError([f"data.class_path: {path!r} is no subclass of lightning_untrac.CorpusDataModule"])
    return found
