"""Every verb's parser: its own options, the model, the data, and every flag of the Trainer."""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from lightning_untrac.config.all_at_once import apart_from_consequences, nowhere, without
from lightning_untrac.config.bare_ray import with_bare_ray
from lightning_untrac.config.changed_class import own_defaults
from lightning_untrac.config.data_class import data_class
from lightning_untrac.config.keys import KnownKeys, own_reasons, plain_words
from lightning_untrac.config.method_lists import stages_of
from lightning_untrac.config.short_methods import with_method_class
from lightning_untrac.config.short_objectives import with_long_objective
from lightning_untrac.config.strict_yaml import load_strictly, with_contents
from lightning_untrac.config.values import empty_values, value_problems
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.errors import ConfigurationError, problems_of, raise_if_any
from lightning_untrac.faults import first_line
from lightning_untrac.hub import hub_names, look
from lightning_untrac.modules import LanguageModule
from lightning_untrac.redaction import restored
from lightning_untrac.verb import Arguments


@dataclass
class Parsed:
    """What a verb was asked to do.

    Attributes:
        verb: its name.
        options: the verb's own options.
        parser: makes objects from ``config``.
        config: everything, with defaults filled in; objects are still class paths.
        problems: what was wrong in the arguments and has been left out, to be said with whatever else is wrong.
        awaits: what is missing that an earlier stage of a recipe may be yet to make, said like problems elsewhere.
        said: what was found out while the arguments were read, to be said when the verb begins.
        data_path: class path of the DataModule where it is another than ``CorpusDataModule``.
        made: the objects that reading the arguments made, and what they were made from, until someone takes them.
    """

    verb: str
    options: Any
    parser: LightningArgumentParser
    config: Namespace
    problems: list[str] = field(default_factory=list)
    awaits: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    data_path: str | None = None
    made: list[tuple[list[Any], Namespace]] = field(default_factory=list)

    def build(self) -> tuple[LanguageModule, CorpusDataModule, dict[str, Any]]:
        """New objects at every call, so that no two phases share a module, strategy, callback or logger.

        Returns:
            The module, the data and the Trainer's arguments.
        """
        source, objects = self.made.pop() if self.made else ([], Namespace())
        if source != _parts(self.config):  # a saved model was found since, say
            objects = self.parser.instantiate(self.config.clone())
        trainer = {key: value for key, value in objects.trainer.items() if value is not None}
        return objects.model, objects.data, trainer

    def build_module(self) -> LanguageModule:
        """A new module, without the data and callbacks that :meth:`build` would make beside it."""
        module: LanguageModule = self._build_only("model")
        return module

    def build_trainer_arguments(self) -> dict[str, Any]:
        """The Trainer's new arguments, without a module and data beside them."""
        return {key: value for key, value in self._build_only("trainer").items() if value is not None}

    def _build_only(self, name: str) -> Any:
        part = Namespace({name: self.config[name].clone()})
        return self.parser.instantiate(part, instantiate_groups=False)[name]

    def resolved(self) -> dict[str, Any]:
        """The configuration as plain values: what is saved, compared and sent to W&B."""
        config = self.config.clone()
        config.pop("config", None)
        plain = _plain(config.as_dict())
        if self.data_path is not None:
            plain["data"] = {"class_path": self.data_path, **plain["data"]}
        return plain


def _parts(config: Namespace) -> list[Any]:
    """What a module, data and a Trainer are made from."""
    return [config.get(name) for name in ("model", "data", "trainer")]


def _plain(value: Any) -> Any:
    """What yaml and json can hold; objects (an enum of a callback's, a path) by their value or their text."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(part) for part in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def parse(verb: str, options: type, argv: Arguments, phase: type[LanguageModule] | None) -> Parsed:
    """Parse a verb's arguments.

    Args:
        verb: its name.
        options: a dataclass of the verb's own options.
        argv: the arguments.
        phase: the LightningModule that it fits or evaluates by default; None for a verb without model and data.

    Returns:
        What was asked. Unknown keys and values of a wrong type are left out and named in its ``problems`` where there
        is more to look at, in a model and data; see :func:`~lightning_untrac.runs.rehearsal.sound`.

    Raises:
        ConfigurationError: for everything that is wrong, where one can't go on without it.
        SystemExit: with code 0 on ``--help`` and ``--print_config``.
    """
    data, given = (CorpusDataModule, list(argv)) if phase is None else data_class(argv)
    parser = LightningArgumentParser(
        prog=f"untrac {verb}",
        usage=f"untrac {verb} [--config FILE] [options]",
        description=(options.__doc__ or "").strip().splitlines()[0],
        exit_on_error=False,
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a yaml file with any of these options")
    parser.add_class_arguments(options, None, fail_untyped=False, sub_configs=True)
    if phase is not None:
        parser.add_subclass_arguments(LanguageModule, "model", fail_untyped=False, required=False)
        parser.set_defaults({"model": {"class_path": f"lightning_untrac.{phase.__name__}"}})
        parser.add_class_arguments(data, "data", fail_untyped=False, sub_configs=True, skip={"plan"})
        parser.add_lightning_class_args(Trainer, "trainer")
    keys = KnownKeys(verb, options, phase, data)
    given, said = with_long_objective(given) if "objective" in keys.top else (given, [])
    if "objective" in keys.top:
        given, more = with_method_class(given, verb)
        said += more
    arguments, problems = _with_class_paths(given, phase, keys)
    arguments = with_bare_ray(arguments, keys.groups)
    arguments, more = _flag_values(arguments)
    problems = list(dict.fromkeys(said + problems + more + keys.flag_problems(_flags(arguments))))
    if more:
        raise ConfigurationError(problems)
    config, problems = _past_wrong_values(parser, keys.known_flags(arguments), problems)
    own_defaults(config, parser.get_defaults, arguments)
    try:
        plain = _plain(config.as_dict())
        raise_if_any([*empty_values(options, plain), *value_problems(plain)])
        look(hub_names(plain))  # before anything is loaded, and all names at once
        objects = parser.instantiate(config.clone())
    except ConfigurationError as error:
        raise ConfigurationError([*problems, *error.problems]) from error
    except _WRONG as error:
        raise ConfigurationError([*problems, _sentence(error)]) from error
    raise_if_any(problems if phase is None else [])
    found = {name: objects[name] for name in (one.name for one in fields(options))}
    if isinstance(found.get("output"), str):
        found["output"] = config.output = str(Path(found["output"]).expanduser())
    made = [] if phase is None else [(_parts(config.clone()), objects)]
    path = None if data is CorpusDataModule else f"{data.__module__}.{data.__qualname__}"
    return Parsed(verb, options(**found), parser, config, problems, data_path=path, made=made)


_Read = list[str | dict[str, Any]]
"""A command line with the contents of its configurations."""

_WRONG = (argparse.ArgumentError, AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError)
"""What the parser raises."""


def _sentence(error: BaseException) -> str:
    if isinstance(error, argparse.ArgumentError):
        return plain_words(str(error))
    if reasons := own_reasons(str(error)):
        return f"options: {'; '.join(reasons)}"
    return f"options: {type(error).__name__}: {first_line(error)}"


def _past_wrong_values(
    parser: LightningArgumentParser, arguments: _Read, problems: list[str]
) -> tuple[Namespace, list[str]]:
    """Parse, leaving out what the parser refuses, one by one, because it stops at the first."""
    while True:
        try:
            return _parsed(parser, arguments), problems
        except _WRONG as error:
            said = _sentence(error)
            problems = [*problems, *apart_from_consequences([said], problems)]
            rest = without(arguments, said.partition(":")[0]) if isinstance(error, argparse.ArgumentError) else []
            if said.startswith("output: not given"):
                rest = [*arguments, f"--output={nowhere()}"]
            if not rest or rest == arguments:
                raise ConfigurationError(problems) from error
            arguments = rest


def _parsed(parser: LightningArgumentParser, arguments: _Read) -> Namespace:
    if len(arguments) == 1 and not isinstance(arguments[0], str):  # of a recipe: nothing to write down and read again
        return parser.parse_object(deepcopy(arguments[0]))
    # Beside flags the parser takes a configuration as text only.
    return parser.parse_args(
        [one if isinstance(one, str) else f"--config={yaml.safe_dump(one, sort_keys=False)}" for one in arguments]
    )


def _flags(arguments: _Read) -> list[str]:
    return [argument for argument in arguments if isinstance(argument, str)]


def _flag_values(arguments: _Read) -> tuple[_Read, list[str]]:
    """The arguments with the values of environment variables in place of ``${env:NAME}``, and what is wrong in them."""
    found, problems, name = _Read(), list[str](), ""
    for argument in arguments:
        if not isinstance(argument, str):
            found.append(argument)
            continue
        flag, equals, value = argument.partition("=") if argument.startswith("--") else (name, "", argument)
        name = flag
        if argument.startswith("--") and not equals:
            found.append(argument)
            continue
        value, missing = restored(value, flag)
        problems += missing
        if flag in ("--model", "--data", "--trainer") and value.strip().lower() in ("", "null", "~", "none"):
            problems.append(f"{flag}: got {value!r}; expected a mapping of its options, or leave it out")
        if value[:1] in ("{", "[") or (":" in value and "\n" in value):
            problems += problems_of(lambda value=value, flag=flag: load_strictly(value, flag))  # type: ignore[misc]
        found.append(f"{flag}={value}" if equals else value)
    return found, problems


def _with_class_paths(argv: Arguments, phase: type[LanguageModule] | None, keys: KnownKeys) -> tuple[_Read, list[str]]:
    """Let a config file say ``model: {name_or_path: ...}`` without naming the verb's own class.

    Returns:
        The arguments, with each config file's content in place of its path, and the files' unknown keys.
    """
    found, problems = _Read(), []
    rest = with_contents(argv)
    while rest:
        argument = rest.pop(0)
        if isinstance(argument, str):
            name, equals, _ = argument.partition("=")
            alone = not rest or not isinstance(rest[0], str) or rest[0].startswith("--")
            switch = name.removeprefix("--") in keys.switches and not equals and alone
            found.append(f"{name}=true" if switch else argument)
            continue
        content, missing = restored(without_stages(deepcopy(dict(argument))))
        problems += [*missing, *keys.shape_problems(content)]
        if isinstance(content.get("ray"), bool):
            content["ray"] = {} if content["ray"] else None
        problems += keys.problems(content)
        for group in ("model", "data", "trainer"):  # an empty heading says nothing
            if group in content and content[group] is None:
                del content[group]
        model = content.get("model")
        if phase is not None and isinstance(model, dict) and "class_path" not in model:
            settings = model.get("init_args", model)
            content["model"] = {"class_path": f"lightning_untrac.{phase.__name__}", "init_args": settings}
        found.append(content)
    return found, problems


def without_stages(content: dict[str, Any]) -> dict[str, Any]:
    """What a single verb takes of a recipe: the shared model, data, Trainer and W&B, not the stages.

    Example:
        >>> without_stages({"title": "mine", "model": {}, "stages": [{"trace": None}]})
        {'model': {}}
        >>> without_stages({"title": "mine", "steps": 5})  # a verb's own number of steps
        {'steps': 5}
    """
    dropped = ("title", "training_seed", *stages) if (stages := stages_of(content)) else ("title",)
    return {key: value for key, value in content.items() if key not in dropped}
