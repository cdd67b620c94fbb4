"""Check every step of a recipe before the first one begins: a typo in step 5 must not surface after an hour."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.modules import LanguageModule
from lightning_untrac.verbs.finished import folder_problems, is_finished, note_data_content
from lightning_untrac.verbs.parsing import Parsed
from lightning_untrac.verbs.phase import Phase
from lightning_untrac.verbs.saved_models import saved_model

LATER = ("model_files", "trained_model_files", "model.init_args.name_or_path")
"""What a step knows only when the steps before it are finished."""


@contextmanager
def step_arguments(verb: str, config: dict[str, Any], output: str) -> Iterator[list[str]]:
    """A step's configuration as a command line; the file is gone after the block."""
    with tempfile.NamedTemporaryFile("w", suffix=f"-{verb}.yaml", delete=False) as file:
        yaml.safe_dump(config, file, sort_keys=False)
    try:
        yield ["--config", file.name, "--output", output]
    finally:
        Path(file.name).unlink(missing_ok=True)


def verb_module(verb: str) -> Any:
    """The module of a verb."""
    return import_module(f"lightning_untrac.verbs.{verb.replace('-', '_')}")


def rehearse(steps: Sequence[tuple[str, dict[str, Any]]], output: str) -> None:
    """Parse every step, load its data and make its Trainer, without a step of training.

    Args:
        steps: verbs and their configurations.
        output: the run's folder.

    Raises:
        ConfigurationError: with all problems of all steps, each with the step's number; what several steps share is
            said once.
    """
    found: dict[str, str] = {}
    trained: LanguageModule | None = None
    for number, (verb, config) in enumerate(steps, start=1):
        try:
            raise_if_any(_shard_problems(verb, config))
            with step_arguments(verb, config, output) as arguments:
                parsed = verb_module(verb).arguments(arguments)
            problems, module = _step_problems(verb, parsed, trained, output)
            trained = module if verb == "pretrain" else trained
        except ConfigurationError as error:
            problems = error.problems
        for problem in problems:
            found.setdefault(problem, f"step {number} ({verb}): {problem}")
    raise_if_any(found.values())


def _shard_problems(verb: str, config: dict[str, Any]) -> list[str]:
    """A shard is a part of a step, and the steps after it need the whole."""
    if config.get("shard") is None:
        return []
    return [
        f"shard: {config['shard']}; a recipe runs whole steps. Run the verbs one by one: `untrac {verb} --config ... "
        "--output ... --shard i/n` for each shard, then `untrac merge`"
    ]


def _step_problems(
    verb: str, parsed: Parsed, trained: LanguageModule | None, output: str
) -> tuple[list[str], LanguageModule | None]:
    if not hasattr(verb_module(verb), "intent"):
        return [], None
    asked = verb_module(verb).intent(parsed)
    phase = Phase(parsed, asked.step, episodic=verb not in ("pretrain", "evaluate"), kind=asked.plan.kind)
    # Leave-out retrains for as long as training took, which pretrain.json says later.
    later = (*LATER, "steps", "passes") if verb == "leave-out" else LATER
    if verb != "evaluate" and is_finished(phase, phase.folder, later, quiet=True):
        return [], phase.module  # it will be skipped; its data may be gone by now
    settings = parsed.config.model.init_args
    facts = None
    if settings.get("name_or_path") is None and settings.get("config") is None:
        name = "initial_model" if verb == "leave-out" else "model"
        if trained is None and (path := saved_model(Path(output), name)) is not None:
            phase.module.name_or_path = path
        facts = trained
    problems = asked.problems + phase.problems(asked.plan, facts)
    if facts is None:  # what stands in for a model may name its tokenizer otherwise
        note_data_content(phase)
    other_run = [] if verb == "evaluate" else folder_problems(phase, later)
    return other_run + problems, phase.module
