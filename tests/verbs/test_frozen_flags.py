"""The flags of each verb, with their defaults, as flags.txt beside this file has them: none comes or goes unseen."""

from __future__ import annotations

import difflib
import json
import os
from argparse import SUPPRESS
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from lightning_untrac.config.parsing import parse
from lightning_untrac.data import DatasetConfig
from lightning_untrac.fanout.ray_options import RayConfig
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.verb import own_verbs, traits, verb_module

FILE = Path(__file__).with_name("flags.txt")
RENEW = "UNTRAC_RENEW_FLAGS=1 pytest tests/verbs/test_frozen_flags.py"
HEAD = f"""# Every flag and its default, of each verb. `every fit` are those that all verbs with a model share.
# Left out: --config and --help, and the Trainer's flags (see config/trainer_flags.py), which are Lightning's.
# Renewed by: {RENEW}
"""

GROUPS = {"each of data.corpora and data.test_sets": DatasetConfig, "wandb": WandbConfig, "ray": RayConfig}


def flags_of(verb: str) -> set[str]:
    """Lines such as ``--steps null``."""
    one = traits(verb)
    if one.options is None:  # it reads its arguments by itself
        words = {word for word in verb_module(verb).HELP.split() if word.startswith("--")}
        return {word for word in words if word[2:].isidentifier()}
    required = [f"--{name}=x" for name in ("output", "forget") if one.has_option(name)]
    parsed = parse(verb, one.options, required, one.phase)
    found = set()
    for action in parsed.parser._actions:
        flag = next((text for text in action.option_strings if text.startswith("--")), None)
        if (
            flag
            and action.default != SUPPRESS
            and not flag.startswith(("--config", "--print_", "--trainer", "--model"))
        ):
            found.add(f"{flag} {written(action.default)}")
    if one.phase is not None:
        arguments = parsed.config.model.init_args.as_dict()
        found |= {f"--model.{name} {written(default)}" for name, default in arguments.items()}
    return found


def keys_of(config: type) -> set[str]:
    """Lines for the fields of a group that is None until one of them is given."""
    return {
        f"{one.name} {'' if one.default is MISSING and one.default_factory is MISSING else written(default_of(one))}"
        for one in fields(config)
    }


def default_of(one: Field[Any]) -> Any:
    return one.default if one.default is not MISSING else one.default_factory()  # type: ignore[misc]


def written(default: Any) -> str:
    """As JSON; of a class that is made with torch's own defaults, and of a function, the path alone."""
    if isinstance(default, FunctionType):
        return f"{default.__module__}.{default.__qualname__}"
    if isinstance(default, dict) and "class_path" in default:
        return str(default["class_path"])
    return json.dumps(default)


@pytest.fixture(scope="module")
def now() -> str:
    """What the file should hold."""
    flags = {verb: flags_of(verb) for verb in own_verbs()}
    fits = [verb for verb in flags if traits(verb).phase is not None]
    shared = set.intersection(*(flags[verb] for verb in fits))
    sections = {
        "every fit": shared,
        **{verb: found - shared if verb in fits else found for verb, found in flags.items()},
        **{name: keys_of(config) for name, config in GROUPS.items()},
    }
    return HEAD + "".join(
        f"\n{name}\n" + "".join(f"  {line}".rstrip() + "\n" for line in sorted(found))
        for name, found in sections.items()
    )


def test_no_flag_has_come_or_gone_unseen(now: str) -> None:
    if os.environ.get("UNTRAC_RENEW_FLAGS"):
        FILE.write_text(now)
    lines = [line.removeprefix(" ") for line in difflib.ndiff(FILE.read_text().splitlines(), now.splitlines())]
    changes = [line for line in lines if line.startswith(("- ", "+ "))]
    changes_in_place = [line for line in lines if line in changes or line[1:2].isalpha()]  # with the sections' names
    assert not changes, "\n".join(
        [
            "- was taken away, + is new:",
            *changes_in_place,
            f"If that is meant, say so in CHANGELOG.md; renew by {RENEW}",
        ]
    )
