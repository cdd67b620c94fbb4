"""The settings with which a run folder's model was trained, for verbs that train anew as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lightning_untrac.config.command_line import settings
from lightning_untrac.config.recipes import MODEL_BEFORE_TRAINING, SHARED
from lightning_untrac.config.strict_yaml import load_yaml, with_contents
from lightning_untrac.config.trainer_callbacks import for_retraining
from lightning_untrac.verb import Arguments

TRAINING: Final = "pretrain.yaml"
"""What ``pretrain`` was asked to do."""

OF_A_SAVED_MODEL: Final = (
    *("tokenizer", "dtype", "revision", "trust_remote_code", "attn_implementation", "task", "labels"),
)
"""Settings of the model that hold for whatever is made of it."""

OF_THE_MACHINE: Final = ("accelerator", "devices", "num_nodes", "strategy", "precision")
"""Flags of the Trainer that say where it runs, and nothing of how steps are taken."""


def as_trained(argv: Arguments, *, only_measures: bool = False) -> Arguments:
    """A command line that begins with the settings of training; what was given itself is stronger.

    Args:
        argv: names the output folder. A stage of a recipe has the settings of training already.
        only_measures: leave out how steps are taken.
    """
    output = _output(argv)
    if output is None or not (output / TRAINING).is_file() or (len(argv) == 1 and isinstance(argv[0], Mapping)):
        return argv
    content = load_yaml(output / TRAINING)
    found: dict[str, Any] = {key: content[key] for key in SHARED if isinstance(content.get(key), dict)}
    model = found.pop("model", {})
    given = {k: v for k, v in model.get("init_args", {}).items() if k not in MODEL_BEFORE_TRAINING}
    trainer = {key: value for key, value in for_retraining(found.get("trainer", {})).items() if value is not None}
    if only_measures:
        trainer = {key: value for key, value in trainer.items() if key in OF_THE_MACHINE}
        found.get("data", {}).get("init_args", found.get("data", {})).pop("batch_size", None)
        model = {key: given[key] for key in OF_A_SAVED_MODEL if key in given}
    else:
        model = {**model, "init_args": given}
    return [{**found, "model": model, "trainer": trainer}, *argv]


def trained_from(folder: Path) -> str | None:
    """The model that a folder's training started from; None for a new one, or where nothing was trained."""
    if not (folder / TRAINING).is_file():
        return None
    model = load_yaml(folder / TRAINING).get("model") or {}
    found = model.get("init_args", model).get("name_or_path")
    return found if isinstance(found, str) else None


def training_seed(folder: Path) -> int | None:
    """The seed of the order in which a folder's model was trained; None where that is not known."""
    seed = load_yaml(folder / TRAINING).get("seed") if (folder / TRAINING).is_file() else None
    return seed if isinstance(seed, int) else None


def _output(argv: Arguments) -> Path | None:
    """The output folder that a command line names, the last one if there are several."""
    found = None
    for name, value, _ in settings(with_contents(argv)):
        if isinstance(value, Mapping):
            found = value.get("output", found)
        elif name == "output":
            found = value
    return Path(found).expanduser() if isinstance(found, str) else None
