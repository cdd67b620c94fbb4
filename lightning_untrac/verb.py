"""The verbs of ``untrac``: found by looking into ``verbs/``, and in other packages; and what is asked of one.

A verb is a module. The first line of its docstring says what it does, and its ``main(arguments)`` does it. A verb in
``lightning_untrac/verbs/`` has the name of its file. Another package adds one by an entry point of the group
``lightning_untrac.verbs``, and any importable module is one by its dotted path. What else differs between verbs stands
in the module's :class:`Traits`, which it calls ``TRAITS``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

PACKAGE: Final = "lightning_untrac.verbs"
"""Where the verbs are that ship, and the group of the entry points of others."""

Arguments = Sequence[str | Mapping[str, Any]]
"""A command line. A mapping stands for a configuration file with that content."""


Column = Literal["pretrain", "trace", "rivals", "leave-out", "unlearn", "evaluate"]
"""Kinds of work with a Trainer, for which config/trainer_flags.py says what each flag does; ``rivals`` score at the
trained weights."""


def _no_models(folder: Path, stage: str) -> list[Path]:
    return []


def _itself(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [config]


@dataclass(frozen=True)
class Traits:
    """What differs between verbs.

    A verb with a ``phase`` also has ``intent(parsed)``, which says what it is going to do and what is wrong with its
    options. One without may have ``option_problems(options)``. One that reads its arguments otherwise than
    ``config.parsing.parse`` does has ``arguments(argv)``.

    Attributes:
        options: dataclass of the verb's own options; None where it is no stage of a recipe.
        phase: the LightningModule that it fits or evaluates; None for a verb without model and data.
        stage: whether it can be a stage of a recipe.
        trains: whether later stages of a recipe start from the model that it makes.
        starts_from: folder below the output folder with the model that it starts from. What starts from the
            ``initial_model`` retrains: in a recipe it takes the settings of training.
        repeats: whether it does its work anew each time, so that it is never finished.
        fills: whether its episodes and scores are rows of the influence table.
        method: what the tables call its method; None where a stage is called ``VERB-METHOD``.
        apart: makes stages of what a recipe says of it once, such as one for each of several methods.
        models: the models that a stage of it saves in an output folder.
    """

    options: type[Any] | None = None
    phase: type[Any] | None = None
    stage: bool = True
    trains: bool = False
    starts_from: Literal["model", "initial_model"] = "model"
    repeats: bool = False
    fills: bool = False
    method: str | None = None
    apart: Callable[[dict[str, Any]], list[dict[str, Any]]] = _itself
    models: Callable[[Path, str], list[Path]] = _no_models

    @property
    def retrains(self) -> bool:
        """Whether it trains anew from the weights before training."""
        return self.starts_from == "initial_model"

    def has_option(self, name: str) -> bool:
        """Whether the verb has an option of its own with this name."""
        return self.options is not None and any(field.name == name for field in fields(self.options))

    def default(self, name: str) -> Any:
        """The default of one of the verb's own options; None where there is no such option."""
        found = [field.default for field in fields(self.options) if field.name == name] if self.options else []
        return found[0] if found else None


def own_verbs() -> list[str]:
    """Names of the verbs that ship."""
    return sorted(path.stem.replace("_", "-") for path in _folder().glob("*.py") if path.stem != "__init__")


def verbs() -> dict[str, str]:
    """Module of each verb by its name: those that ship, and those that other packages add."""
    found = {name: f"{PACKAGE}.{name.replace('-', '_')}" for name in own_verbs()}
    added = {point.name: point.value for point in entry_points(group=PACKAGE)}
    return {**added, **found}


def module_of(verb: str) -> str | None:
    """The module of a verb's name or dotted path; None where there is none."""
    if verb in own_verbs():
        return f"{PACKAGE}.{verb.replace('-', '_')}"
    if (module := verbs().get(verb)) is not None:
        return module
    return verb if "." in verb and _source(verb) is not None else None


def verb_module(verb: str) -> Any:
    """Import the module of a verb.

    Args:
        verb: its name, or the dotted path of a module.

    Raises:
        ModuleNotFoundError: if there is none.
    """
    return import_module(module_of(verb) or verb)


def traits(verb: str) -> Traits:
    """What a verb's module says of the verb; of a verb that is gone since, nothing."""
    if module_of(verb) is None:
        return Traits()
    found = getattr(verb_module(verb), "TRAITS", None)
    return found if isinstance(found, Traits) else Traits(stage=False)


def stage_verbs() -> list[str]:
    """Names of the verbs that can be stages of a recipe."""
    return [name for name in verbs() if is_stage(name)]


def is_stage(verb: str) -> bool:
    """Whether there is such a verb, and it can be a stage of a recipe."""
    return module_of(verb) is not None and traits(verb).stage and traits(verb).options is not None


def verb_of_stage(stage: str) -> str:
    """The verb of a stage: a stage is called as its verb, or ``VERB-SOMETHING``.

    Example:
        >>> [verb_of_stage(stage) for stage in ("pretrain", "trace-untrac", "leave-out", "unlearn-leave-out")]
        ['pretrain', 'trace', 'leave-out', 'unlearn']
    """
    if stage in own_verbs():
        return stage
    fitting = [name for name in verbs() if stage == name or stage.startswith(f"{name}-")]
    return max(fitting, key=len, default=stage)


def method_of_stage(stage: str) -> str:
    """What the tables call a stage's method.

    Example:
        >>> method_of_stage("trace-untrac_inv"), method_of_stage("leave-out")
        ('untrac_inv', 'leave_out')
    """
    verb = verb_of_stage(stage)
    return traits(verb).method or stage.removeprefix(f"{verb}-")


def summary(module: str) -> str:
    """What a verb does, from the first line of its docstring, without importing it.

    Args:
        module: its path.
    """
    path = _source(module)
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path is not None else None
    first = (docstring or "").partition("\n")[0]
    return (first.partition("``: ")[2] or first).rstrip(".")


def _folder() -> Path:
    return Path(__file__).parent / "verbs"


def _source(module: str) -> Path | None:
    """The file of a module, found without importing the packages that it is in."""
    first, *rest = module.split(".")
    try:
        spec = find_spec(first)
    except ValueError:  # a module that was made up in this process
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(part, spec.submodule_search_locations)
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None
