"""Every verb's parser: its own options, the model, the data, and every flag of the Trainer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from lightning_untrac.data import CorpusDataModule
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules import LanguageModule


@dataclass
class Parsed:
    """What a verb was asked to do.

    Attributes:
        options: the verb's own options.
        parser: makes objects from ``config``.
        config: everything, with defaults filled in; objects are still class paths.
    """

    options: Any
    parser: LightningArgumentParser
    config: Namespace

    def build(self) -> tuple[LanguageModule, CorpusDataModule, dict[str, Any]]:
        """New objects at every call, so that no two phases share a module, strategy, callback or logger.

        Returns:
            The module, the data and the Trainer's arguments.
        """
        objects = self.parser.instantiate(self.config.clone())
        trainer = {key: value for key, value in objects.trainer.items() if value is not None}
        return objects.model, objects.data, trainer

    def resolved(self) -> dict[str, Any]:
        """The configuration as plain values: what is saved, compared and sent to W&B."""
        config = self.config.clone()
        config.pop("config", None)
        return yaml.safe_load(self.parser.dump(config, skip_validation=True))


def parse(verb: str, options: type, argv: Sequence[str], phase: type[LanguageModule] | None) -> Parsed:
    """Parse a verb's arguments.

    Args:
        verb: its name.
        options: a dataclass of the verb's own options.
        argv: the arguments.
        phase: the LightningModule that it fits or evaluates by default; None for a verb without model and data.

    Raises:
        SystemExit: on ``--help``, ``--print_config`` (0) or a wrong argument (2, after a message).
    """
    parser = LightningArgumentParser(
        prog=f"untrac {verb}",
        usage=f"untrac {verb} [--config FILE] [options]",
        description=(options.__doc__ or "").strip().splitlines()[0],
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a yaml file with any of these options")
    parser.add_class_arguments(options, None, fail_untyped=False, sub_configs=True)
    if phase is not None:
        parser.add_subclass_arguments(LanguageModule, "model", fail_untyped=False, required=False)
        parser.set_defaults({"model": {"class_path": f"lightning_untrac.{phase.__name__}"}})
        parser.add_class_arguments(CorpusDataModule, "data", fail_untyped=False, sub_configs=True, skip={"plan"})
        parser.add_lightning_class_args(Trainer, "trainer")
    config = parser.parse_args(_with_class_paths(list(argv), phase))
    objects = parser.instantiate(config.clone())
    return Parsed(options(**{name: objects[name] for name in options.__dataclass_fields__}), parser, config)


def _with_class_paths(argv: list[str], phase: type[LanguageModule] | None) -> list[str]:
    """Let a config file say ``model: {name_or_path: ...}`` without naming the verb's own class."""
    if phase is None:
        return argv
    found: list[str] = []
    skip = False
    for index, argument in enumerate(argv):
        if skip:
            skip = False
            continue
        if argument == "--config" and index + 1 < len(argv):
            found.append(f"--config={_rewritten(argv[index + 1], phase)}")
            skip = True
        elif argument.startswith("--config="):
            found.append(f"--config={_rewritten(argument.removeprefix('--config='), phase)}")
        else:
            found.append(argument)
    return found


def _rewritten(path: str, phase: type[LanguageModule]) -> str:
    content = load_yaml(Path(path))
    model = content.get("model")
    if isinstance(model, dict) and "class_path" not in model:
        settings = model.get("init_args", model)
        content["model"] = {"class_path": f"lightning_untrac.{phase.__name__}", "init_args": settings}
    return yaml.safe_dump(content, sort_keys=False)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a yaml mapping.

    Raises:
        ConfigurationError: if the file is missing, no yaml, or no mapping.
    """
    if not path.is_file():
        raise ConfigurationError([f"config: there is no file {os.fspath(path)}"])
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"config: {path} is no yaml: {error}"]) from error
    if content is None:
        raise ConfigurationError([f"config: {path} is empty"])
    if not isinstance(content, dict):
        raise ConfigurationError([f"config: {path} holds a {type(content).__name__}; expected a mapping of options"])
    return content
