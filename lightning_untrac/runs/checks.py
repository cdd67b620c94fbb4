"""What can be wrong with a model, an optimizer or data, found before anything is loaded or written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from lightning_untrac.attribution.preconditioned import NoCheckpointError
from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.config import config_problems
from lightning_untrac.data.saved_tokenizers import encodes_alike
from lightning_untrac.data.sources import expand
from lightning_untrac.data.tokenizers import load_tokenizer
from lightning_untrac.errors import ConfigurationError, problems_of
from lightning_untrac.faults import first_line
from lightning_untrac.metrics import Measure, find_measures
from lightning_untrac.modules import LanguageModule
from lightning_untrac.modules.adapters import tokenizer_home
from lightning_untrac.modules.small_models import without_weights
from lightning_untrac.outputs import MeasureNeed
from lightning_untrac.schedules import schedule_problem
from lightning_untrac.strategies import WHOLE_GRADIENTS, named_shards
from lightning_untrac.tables.files import nearest_folder


def model_problems(module: LanguageModule) -> list[str]:
    """What is wrong with the module's arguments, its tokenizer and its architecture."""
    found = list(module.problems())
    if found:
        return found
    found = list(dict.fromkeys(problems_of(lambda: module.tokenizer) + problems_of(lambda: module.model_config)))
    return found or [*module.architecture_problems(), *_tokenizer_problems(module)]


def _tokenizer_problems(module: LanguageModule) -> list[str]:
    """Whether a tokenizer that was named for a saved model encodes as the one that lies beside it."""
    if module.name_or_path is None or module.tokenizer_name is None:
        return []
    try:
        home = tokenizer_home(module.name_or_path)
        own = load_tokenizer(home, revision=module.revision, trust_remote_code=module.trust_remote_code)
    except ConfigurationError:
        return []  # the model came without one
    if len(own) == len(module.tokenizer):
        if encodes_alike(module.tokenizer, own):
            return []
        return [
            f"model.tokenizer: {module.tokenizer_name!r} encodes text otherwise than the tokenizer in {home!r}; leave "
            "`tokenizer` out to use the model's own"
        ]
    return [
        f"model.tokenizer: {module.tokenizer_name!r} has {len(module.tokenizer)} tokens and the tokenizer in "
        f"{home!r} has {len(own)}; leave `tokenizer` out to use the model's own"
    ]


def optimizer_problems(module: LanguageModule, later: bool = False) -> list[str]:
    """Whether the optimizer and the schedule can be made: a negative learning rate, say, is found here.

    Args:
        module: whose optimizer it is.
        later: whether an earlier stage is yet to make the checkpoint that an optimizer may begin from.
    """
    if type(module).configure_optimizers is not LanguageModule.configure_optimizers:
        return []
    try:
        # Two-dimensional, because some optimizers take matrices only.
        optimizer = module.optimizer([torch.nn.Parameter(torch.zeros(2, 2))])
    except NoCheckpointError as error:
        return [] if later else [f"model.optimizer: {first_line(error)}"]
    except (ValueError, TypeError) as error:
        return [f"model.optimizer: {first_line(error)}"]
    numbers = {name: value for group in optimizer.param_groups for name, value in group.items()}
    if strange := [n for n, v in numbers.items() if isinstance(v, float) and not math.isfinite(v)]:
        return [f"model.optimizer.{name}: {numbers[name]}; give a finite number" for name in strange]
    if module.lr_scheduler is None:
        return []
    problem = schedule_problem(module.lr_scheduler, lambda: optimizer, num_steps=0)
    return [] if problem is None else [f"model.lr_scheduler: {problem}"]


def schedule_problems(module: LanguageModule, steps: Sequence[int]) -> list[str]:
    """Whether the schedule lasts as long as the training.

    Args:
        module: whose optimizer and schedule are gone through, without a model.
        steps: optimizer steps of each episode, or of the whole training.
    """
    if type(module).configure_optimizers is not LanguageModule.configure_optimizers or module.lr_scheduler is None:
        return []
    try:
        module.optimizer([torch.nn.Parameter(torch.zeros(2, 2))])
    except Exception:  # whatever it is, `optimizer_problems` says it
        return []
    problem = schedule_problem(
        module.lr_scheduler, lambda: module.optimizer([torch.nn.Parameter(torch.zeros(2, 2))]), max(steps)
    )
    return [] if problem is None else [f"model.lr_scheduler: {problem}"]


def lost_needs(trainer: Any) -> frozenset[MeasureNeed]:
    """What measures may ask for elsewhere and sharded weights can't give, so that sets of measures go without.

    Args:
        trainer: its flags, as the user gave them.
    """
    return frozenset({"gradients"}) if named_shards(trainer.get("strategy")) else frozenset()


def gradient_problems(options: Any) -> list[str]:
    """Which measures ask for gradients of single examples, which can't be had of sharded weights.

    Args:
        options: of the verb; what names measures is found in ``measures`` and ``attacks``. Names of sets stand for
            none: what a set can't have is left out.
    """
    found = []
    for option in ("measures", "attacks"):
        named = getattr(options, option, None) or ()
        measures: list[Measure] = []
        for one in named.split(",") if isinstance(named, str) else named:
            with suppress(ConfigurationError):  # of what is no measure, which is said elsewhere
                measures += find_measures([one])
        found += [
            f"{option}: {measure.name} needs gradients, and {WHOLE_GRADIENTS}"
            for measure in measures
            if "gradients" in measure.needs
        ]
    return found


def episode_problems(options: Any) -> list[str]:
    """What is wrong with the options that all verbs with episodes share."""
    found = []
    steps = [options.readings] if isinstance(options.readings, int) else options.readings
    if not steps or any(step < 1 for step in steps):
        found.append(f"readings: {options.readings}; give a number of at least 1, or a list of steps")
    if options.steps is not None and options.passes is not None:
        found.append("steps and passes: give one of the two")
    cap = getattr(options, "collapse_cap", None)
    if cap is not None and not cap > 0:
        found.append(f"collapse_cap: {cap}; give a loss in nats per token, or .inf")
    return found


def data_problems(data: CorpusDataModule, facts: Any) -> list[str]:
    """Load and tokenise everything; what is wrong with it, also with those files that other problems would hide."""
    try:
        data.prepare(facts)
    except ConfigurationError as error:
        hidden = source_problems(data) if data.problems() else []
        return [*error.problems, *hidden]
    return []


def source_problems(data: CorpusDataModule) -> list[str]:
    """What is wrong with the files, where they can't be tokenised because something else is wrong too."""
    found = data.problems()
    for config in [*data.corpora, *data.test_sets, *data.forget, *data.holdout]:
        if config_problems([config], []):
            continue
        try:
            expand([config])
        except ConfigurationError as error:
            found += error.problems
    return found


def space_problems(folder: Path, module: LanguageModule, copies: int) -> list[str]:
    """Whether the disk can hold what a verb is going to save.

    Args:
        folder: the output folder.
        module: its weights are counted without being made.
        copies: how many copies of the weights will be written.
    """
    if not copies:
        return []
    model = without_weights(module.model_config, trust_remote_code=module.trust_remote_code)
    needed = copies * sum(parameter.numel() for parameter in model.parameters()) * 4
    free = shutil.disk_usage(nearest_folder(folder)).free
    if free > needed:
        return []
    return [
        f"output: {free / 1e9:.1f} GB are free where {folder} lies, and the model and its checkpoints need about "
        f"{needed / 1e9:.1f} GB; free some space or name another folder"
    ]
