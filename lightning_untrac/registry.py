"""Classes of one kind by name: each makes itself known, and those that ship are found by looking through a package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lightning_untrac.errors import ConfigurationError, raise_if_any

T = TypeVar("T")


class Registry(Mapping[str, type[T]]):
    """Classes of one kind, by the name that a user types.

    The base class of the kind calls :meth:`add` in its ``__init_subclass__``. A new class is then one new file: in the
    package, where the file is found by itself, or anywhere else, where its class path names it.

    Args:
        kind: what one of them is called in messages, such as ``measure``.
        package: whose modules hold those that ship; they are imported when a name is first asked for.
        attribute: of the class that holds its name. A class without one of its own (an abstract one) has no place here.

    Example:
        >>> toys = Registry("toy", "lightning_untrac.functional")
        >>> class Toy:
        ...     def __init_subclass__(cls):
        ...         toys.add(cls)
        >>> class Ball(Toy):
        ...     name = "ball"
        >>> toys.find("ball").__name__, toys.names()
        ('Ball', ['ball'])
        >>> toys.find("bal")
        Traceback (most recent call last):
            ...
        lightning_untrac.errors.ConfigurationError: 1 problem to mend before this can run:
          - toy: 'bal' is unknown; did you mean 'ball'? use one of ball, or the class path of your own
    """

    def __init__(self, kind: str, package: str, attribute: str = "name") -> None:
        self.kind, self.package, self.attribute = kind, package, attribute
        self._classes: dict[str, type[T]] = {}
        self._looked = False

    def add(self, cls: type[Any]) -> None:
        """Make a class known by its name; the same class defined again takes its own place.

        Args:
            cls: of this kind.

        Raises:
            ValueError: if another class has that name.
        """
        name = vars(cls).get(self.attribute)
        if not isinstance(name, str):
            return
        known = self._classes.get(name)
        if known is not None and _path(known) != _path(cls):
            raise ValueError(
                f"{_path(cls)}: the {self.kind} {name!r} is {_path(known)} already; give yours another {self.attribute}"
            )
        self._classes[name] = cls

    def names(self) -> list[str]:
        """All names that are known, in alphabetical order."""
        self._look()
        return sorted(self._classes)

    def __getitem__(self, name: str) -> type[T]:
        self._look()
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def find(self, name: str, offered: Sequence[str] | None = None) -> type[T]:
        """The class of a name or of a class path.

        Args:
            name: such as ``loss``, or ``my_package.my_module.MyMeasure``.
            offered: the names that the message offers where there is none; all by default.

        Raises:
            ConfigurationError: if there is none.
        """
        self._look()
        if name in self._classes:
            return self._classes[name]
        if "." in name:
            return self._of_path(name)
        offered = self.names() if offered is None else offered
        known, hint = ", ".join(offered), did_you_mean(name, offered)
        raise ConfigurationError(
            [f"{self.kind}: {name!r} is unknown; {hint}use one of {known}, or the class path of your own"]
        )

    def find_all(self, names: str | Iterable[str], key: str | None = None) -> list[type[T]]:
        """The classes of several names or class paths, in order, each once.

        Args:
            names: in a list or separated by commas.
            key: begins each sentence about what is wrong; what one of them is called where None.

        Raises:
            ConfigurationError: with everything that is wrong.
        """
        found: dict[type[T], None] = {}
        problems: list[str] = []
        for name in names.split(",") if isinstance(names, str) else names:
            try:
                if name.strip():
                    found.setdefault(self.find(name.strip()))
            except ConfigurationError as error:
                problems += error.problems
        if problems and key is not None:
            problems = [f"{key}:{problem.removeprefix(f'{self.kind}:')}" for problem in problems]
        raise_if_any(problems)
        return list(found)

    def make(self, asked: str | Mapping[str, Any] | T) -> T:
        """One of this kind by its name or class path, with settings; or as it is.

        Args:
            asked: a name, ``{class_path: NAME, init_args: {...}}``, or one that is made already.

        Raises:
            ConfigurationError: if there is none of that name, or it doesn't take the settings.
        """
        if not isinstance(asked, str | Mapping):
            return asked
        name, settings = (
            (asked, {}) if isinstance(asked, str) else (asked.get("class_path", ""), asked.get("init_args"))
        )
        cls = self.find(str(name))
        try:
            return cls(**dict(settings or {}))
        except TypeError as error:
            raise ConfigurationError([f"{self.kind}: {name} can't be made of {settings or {}} ({error})"]) from error

    def _look(self) -> None:
        if self._looked:
            return
        self._looked = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")

    def _of_path(self, path: str) -> type[T]:
        module, _, attribute = path.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ConfigurationError(
                [
                    f"{self.kind}: no class can be imported as {path!r} ({error}); give the path of a class in "
                    "a module that is installed or lies on PYTHONPATH"
                ]
            ) from error
        if found not in self._classes.values():
            raise ConfigurationError(
                [
                    f"{self.kind}: {path!r} is no {self.kind}; expected a subclass of the base class of {self.package} "
                    f"with a `{self.attribute}` of its own"
                ]
            )
        return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was probably meant; empty where none is close.

    Example:
        >>> did_you_mean("los", ["loss", "memorisation_accuracy"]), did_you_mean("xyz", ["loss"])
        ("did you mean 'loss'? ", '')
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _path(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
