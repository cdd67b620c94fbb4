"""How far the episodes of ``trace`` go: as given, by the paper, or until a strength is reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from jsonargparse import Namespace

from lightning_untrac.attribution.method import METHODS, Method
from lightning_untrac.callbacks import KLRadius, OwnRise, ReadAtStrength

READ_AT: dict[str, type[ReadAtStrength]] = {"read_at_own_rise": OwnRise, "read_at_kl": KLRadius}
"""Options that end an episode at a strength, and what measures it."""

STRENGTH_STEPS = 64
"""Steps that an episode has to come to its strength, also where a pass over its corpus has fewer."""


class Lengths(Protocol):
    """The options of ``trace`` that say how far an episode goes."""

    steps: int | None
    passes: float | None
    setting: Any
    examples: bool
    read_at_own_rise: float | None
    read_at_kl: float | None


def read_at(options: Lengths) -> Callable[[], ReadAtStrength] | None:
    """What makes the callback that ends an episode at its strength; None where it ends by its steps."""
    for name, measure in READ_AT.items():
        if (target := getattr(options, name)) is not None:
            return partial(measure, target)
    return None


def least_steps(options: Lengths) -> int:
    """Steps that an episode may take, also where a pass has fewer."""
    by_strength = read_at(options) is not None and options.steps is None and options.passes is None
    return STRENGTH_STEPS if by_strength else 1


def setting_problems(method: type[Method], options: Lengths) -> list[str]:
    """What is wrong with ``setting``."""
    if options.setting == "default":
        return []
    if method.paper_batch_size is None:
        known = ", ".join(name for name, one in METHODS.items() if one.paper_batch_size is not None)
        return [f"setting: {method.method} has no published setting; leave it out (it is for {known})"]
    given = [name for name in ("steps", "passes", *READ_AT) if getattr(options, name) is not None]
    return [f"setting: paper says how long an episode is; leave out {', '.join(given)}, or setting"] if given else []


def strength_problems(method: type[Method], options: Lengths) -> list[str]:
    """What is wrong with the strength that was asked for."""
    given = {name: getattr(options, name) for name in READ_AT if getattr(options, name) is not None}
    found = []
    if len(given) > 1:
        found.append(f"{' and '.join(given)}: an episode can end at one strength only; give one of them")
    for name, target in given.items():
        if not 0 < target < math.inf:
            found.append(f"{name}: {target}; give nats per token above 0, e.g. {READ_AT[name].example}")
        if not method.ascends:
            found.append(f"{name}: {method.method} unlearns nothing; leave it out, or give --method untrac")
        if options.examples:
            found.append(f"{name}: single examples are read at whole steps only; leave out `examples`, or this")
    return found


def settle_strength(method: type[Method], options: Lengths, config: Namespace) -> None:
    """Fill in how far episodes go where the user left it open, so that saved configurations say it."""
    if not method.has_episodes:
        return
    if options.setting == "paper":
        if config.data.get("batch_size") is None:
            config.data.batch_size = method.paper_batch_size
        return
    said = ("steps", "passes", *READ_AT)
    free = not options.examples and all(getattr(options, name) is None for name in said)
    if method.own_rise is not None and free:
        options.read_at_own_rise = config.read_at_own_rise = method.own_rise
