"""``--objective npo --retain kl``: terms of an objective by their short names, written out as the long form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from lightning_untrac.config.command_line import settings
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives.terms import FORGET_TERMS, RETAIN_TERMS
from lightning_untrac.registry import Registry

SHORT: Final = ("objective", "retain", "retain_weight")
"""Options that stand for parts of ``model.unlearning_objective``."""

LONG: Final = "unlearning_objective"


def with_long_objective(argv: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """A command line with the long form in place of :data:`SHORT`, so that both are the same run.

    Args:
        argv: flags, and the contents of configurations.

    Returns:
        The command line, and what is wrong with the names.

    Example:
        >>> with_long_objective(["--objective", "wga", "--steps=3"])[0]
        ['--model.unlearning_objective.forget={"class_path": "WGA"}', '--steps=3']
    """
    given: dict[str, Any] = {}
    found: list[Any] = []
    flags_at = content_at = None
    for name, value, pieces in settings(argv):
        if isinstance(value, Mapping):
            own = {name: value[name] for name in SHORT if value.get(name) is not None}
            if own:
                content_at = len(found)
            given |= own
            found.append({key: part for key, part in value.items() if key not in SHORT})
        elif name in SHORT and value is not None:
            given[name] = yaml.safe_load(value)
            flags_at = len(found) if flags_at is None else flags_at
        else:
            found += pieces
    if not given:
        return found, []
    parts, problems = _parts(given)
    for index, argument in enumerate(found):
        if isinstance(argument, dict):
            here = parts if index == content_at and flags_at is None else {}
            found[index], more = _laid_on(argument, here)
            problems += more
    if flags_at is not None:
        found[flags_at:flags_at] = [f"--model.{LONG}.{place}={json.dumps(part)}" for place, part in parts.items()]
    return found, problems


def _parts(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the short options mean, by the place in the objective."""
    parts: dict[str, Any] = {}
    problems: list[str] = []
    if (objective := given.get("objective")) is not None:
        forget = _terms(FORGET_TERMS, objective, problems)
        if len(forget) == 1:
            parts["forget"] = forget[0]
        elif not problems:
            problems.append(f"objective: got {objective!r}; give the name of one forget term, e.g. npo")
    retain = _terms(RETAIN_TERMS, given["retain"], problems) if given.get("retain") is not None else []
    weights = _listed(given["retain_weight"]) if given.get("retain_weight") is not None else []
    if weights and "retain" not in given:
        problems.append("retain_weight: weighs what `retain` names, and nothing is named; add e.g. --retain kl")
    elif weights and len(weights) != len(_listed(given["retain"])):
        problems.append(
            f"retain_weight: {len(weights)} given for {len(_listed(given['retain']))} of `retain`; give one for each"
        )
    else:
        for term, weight in zip(retain, weights, strict=False):
            try:
                term["init_args"] = {"weight": float(weight)}
            except ValueError:
                problems.append(f"retain_weight: got {weight!r}; give a number, e.g. 5")
    if retain:
        parts["retain"] = retain
    return parts, problems


def _listed(value: Any) -> list[str]:
    """Names or numbers, given alone, in a list or separated by commas."""
    each = value if isinstance(value, list) else str(value).split(",")
    return [str(one).strip() for one in each if str(one).strip()]


def _terms(registry: Registry[Any], value: Any, problems: list[str]) -> list[dict[str, Any]]:
    """The classes of some names: short ones, those of classes, or class paths of the user's own."""
    found = []
    classes = {cls.__name__.lower(): cls for cls in registry.values()}
    for name in _listed(value):
        try:
            if "." in name:
                found.append({"class_path": name})
                continue
            cls = classes.get(name.lower()) or registry.find(name.lower())
            own = cls.__module__.startswith("lightning_untrac.")
            found.append({"class_path": cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"})
        except ConfigurationError as error:
            problems += error.problems
    return found


def _laid_on(content: dict[str, Any], parts: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration with parts of its objective; a forget term that stood for all of it makes room for others."""
    model = content.get("model") or {}
    if not isinstance(model, dict):
        return content, []  # what is wrong with it is said elsewhere
    nested = "class_path" in model or "init_args" in model
    held = dict((model.get("init_args") or {}) if nested else model)
    if LONG not in held and not parts:
        return content, []
    now = _as_places(held.get(LONG) or {})
    problems = [
        f"{'objective' if place == 'forget' else place}: model.{LONG}.{place} is given too; leave one of the two out"
        for place in parts
        if place in now
    ]
    held[LONG] = {**now, **parts}
    return {**content, "model": {**model, "init_args": held} if nested else held}, problems


def _as_places(objective: str | dict[str, Any]) -> dict[str, Any]:
    """The terms of an objective by their places; a forget term that stands for all of it is one of them."""
    if isinstance(objective, str):
        return {"forget": objective}
    if "class_path" not in objective:
        return objective
    whole = str(objective["class_path"]).rpartition(".")[2] == "Objective"
    return dict(objective.get("init_args") or {}) if whole else {"forget": objective}
