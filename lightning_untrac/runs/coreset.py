"""``untrac unlearn --forget_share``: unlearn with a random part of the forget set, to be held against the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from lightning_untrac.forgetting import ForgettingMethod

CORESET: Final = "coreset"
"""What such a run is called where the user does not name it."""


class ShareOptions(Protocol):
    """The options of ``unlearn`` that say what it unlearns with.

    Attributes:
        name: of the run, given by the user.
        forget_share: part of the forget set; None for all of it.
        forget_text: texts in place of a forget set.
        method: a way of unlearning that is more than an objective.
    """

    name: str | None
    forget_share: float | None
    forget_text: str | list[str] | None
    method: ForgettingMethod | None


def run_name(options: ShareOptions) -> str | None:
    """What a run is called beside others of the same forget set; None for the only one.

    Args:
        options: of the verb.
    """
    return CORESET if options.name is None and options.forget_share is not None else options.name


def share_problems(options: ShareOptions) -> list[str]:
    """What is wrong with the share.

    Args:
        options: of the verb.
    """
    if (share := options.forget_share) is None:
        return []
    found = [] if 0 < share < 1 else [f"forget_share: {share:g}; give a part above 0 and below 1, or leave it out"]
    if options.forget_text is not None:
        found.append("forget_share: is of a forget set; leave it out where texts are given as forget_text")
    if options.method is not None:
        found.append("forget_share: goes with an objective; a method takes all of the set: leave one of the two out")
    return found


def whole_of(config: dict[str, Any], others: dict[str, dict[str, Any]]) -> str | None:
    """Which run unlearned with all of the forget set, and was the same in all else.

    Args:
        config: of a run with a share, as it was written down.
        others: of other runs, by any name.
    """
    mine = _compared(config)
    return next(
        (one for one, other in others.items() if other.get("forget_share") is None and _compared(other) == mine), None
    )


BESIDE: Final = frozenset({"name", "forget_share", "output", "wandb", "overwrite", "predict", "measures"})
"""What may differ: it does not change the weights."""


def _compared(config: dict[str, Any]) -> str:
    """What decides the weights, as text; paths in the run folder are the same ones wherever that lies."""
    text = json.dumps({key: value for key, value in config.items() if key not in BESIDE}, sort_keys=True, default=str)
    return text.replace(str(config.get("output")), "output")


def unlearning_config(folder: Path, model: str) -> dict[str, Any] | None:
    """With which settings a run folder's model was unlearned, as they were written down; None where nothing says so.

    Args:
        folder: of the run.
        model: path of the model, ``unlearned-<forget>[-<name>]`` in it.
    """
    file = folder / f"unlearn-{Path(model).name.removeprefix('unlearned-')}.yaml"
    if Path(model).parent != folder or not file.is_file():
        return None
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else None
