"""Check every stage of a recipe before the first one begins: a typo in stage 5 must not surface after an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_untrac.config.all_at_once import apart_from_consequences
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.config.recipes import RecipeStage
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.hub import hub_names, look
from lightning_untrac.modules import LanguageModule
from lightning_untrac.runs.finished import folder_problems, is_finished, note_data_content
from lightning_untrac.runs.identity import comparable, flat
from lightning_untrac.runs.saved_models import saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trainers import steps_of, whole_length
from lightning_untrac.verb import traits, verb_module

LATER = ("model_files", "trained_model_files", "model.init_args.name_or_path", "batch_cut")
"""What a stage knows only when the stages before it are finished; how a batch is cut counts for dropout alone."""


@dataclass
class Trained:
    """What a recipe's ``pretrain`` is going to leave behind.

    Attributes:
        module: its model.
        steps: how many optimizer steps it takes; None where that is not known.
    """

    module: LanguageModule
    steps: int | None


def rehearse(stages: Sequence[RecipeStage], output: str) -> list[str]:
    """Parse every stage, load its data and make its Trainer, without a step of training.

    Args:
        stages: in order.
        output: the run's folder.

    Returns:
        All problems of all stages, each with the stage's number in the recipe; what several share is said once.
    """
    found: dict[str, str] = {}
    trained: Trained | None = None
    twice, traced = _Twice(), False
    look(name for stage in stages for name in hub_names(stage.config))
    for stage in stages:
        try:
            raise_if_any(_shard_problems(stage.verb, stage.config))
            parsed = _read(stage, output)
            problems, checked, steps = _all_problems(parsed, trained, output)
            problems = [*problems, *(() if traced else parsed.awaits)]
            traced = traced or traits(stage.verb).fills
            if checked is not None:
                trained = Trained(checked.module, steps) if traits(stage.verb).trains else trained
                problems = [*problems, *twice.problems(stage, checked, parsed)]
        except ConfigurationError as error:
            problems = error.problems
        for problem in problems:
            found.setdefault(problem.replace(f"untrac {stage.verb} ", ""), f"{stage.label}: {problem}")
    return list(found.values())


def _read(stage: RecipeStage, output: str) -> Parsed:
    read = getattr(verb_module(stage.verb), "arguments", None)
    if read is not None:
        return read(stage.arguments(output))
    verb = traits(stage.verb)
    assert verb.options is not None  # it would be no stage
    return parse(stage.verb, verb.options, stage.arguments(output), verb.phase)


def sound(*commands: Parsed) -> None:
    """Where something was wrong in a verb's arguments, look at all else, and say it in one message.

    Args:
        commands: its arguments, once a method.

    Raises:
        ConfigurationError: with everything that is wrong; not where the arguments themselves are right, because then
            the verb's own checks find the rest.
    """
    if any(parsed.problems or parsed.awaits for parsed in commands):
        each = [[*parsed.awaits, *_all_problems(parsed, None, parsed.options.output)[0]] for parsed in commands]
        raise_if_any(dict.fromkeys(problem for problems in each for problem in problems))
    for line in dict.fromkeys(line for parsed in commands for line in parsed.said):
        say(line)


def _all_problems(parsed: Parsed, trained: Trained | None, output: str) -> tuple[list[str], Stage | None, int | None]:
    """Of a stage: those of its arguments, and those that are there without what was wrong in them."""
    try:
        problems, checked, steps = _stage_problems(parsed, trained, output)
    except ConfigurationError as error:
        problems, checked, steps = error.problems, None, None
    return [*parsed.problems, *apart_from_consequences(problems, parsed.problems)], checked, steps


class _Twice:
    """Stages that would write the same results, such as two traces with one method: the second has to be the same."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[RecipeStage, dict[str, Any]]] = {}

    def problems(self, stage: RecipeStage, checked: Stage, parsed: Parsed) -> list[str]:
        """That an earlier stage writes the same results with other settings."""
        if traits(stage.verb).repeats:
            return []
        settings = flat(comparable(checked.identity))
        # The name of a corpus that a trace is yet to find is not that for which another stands in.
        key = " ".join([checked.name, *parsed.awaits])
        first, before = self.first.setdefault(key, (stage, settings))
        # More seeds are more episodes beside the others.
        keys = sorted(k for k in before.keys() | settings.keys() if not k.startswith(("seeds.", "data_content.")))
        other = [f"{k}: {before.get(k)!r} there, {settings.get(k)!r} here" for k in keys
                 if before.get(k) != settings.get(k)]  # fmt: skip
        if not other:
            return []
        beside = "give each a `name`, " if traits(stage.verb).has_option("name") else ""
        return [
            f"{first.label} writes the results of '{checked.name}' too, with other settings ({'; '.join(other[:4])}); "
            f"a folder holds them once: {beside}take one out, or run it with another --output"
        ]


def _shard_problems(verb: str, config: dict[str, Any]) -> list[str]:
    """A shard is a part of a stage, and the stages after it need the whole."""
    if config.get("shard") is None:
        return []
    return [
        f"shard: {config['shard']}; a recipe runs whole stages. Run the verbs one by one: `untrac {verb} --config ... "
        "--output ... --shard i/n` for each shard, then `untrac merge`"
    ]


def _stage_problems(parsed: Parsed, trained: Trained | None, output: str) -> tuple[list[str], Stage | None, int | None]:
    module, verb = verb_module(parsed.verb), traits(parsed.verb)
    if verb.phase is None:
        find = getattr(module, "option_problems", None)
        return ([] if find is None else find(parsed.options)), None, None
    asked = module.intent(parsed)
    settings, saved = parsed.config.model.init_args, None
    if trained is None and not verb.trains and settings.get("name_or_path") is None:
        saved = saved_model(Path(output), verb.starts_from)
    if saved is not None:
        settings.config = None  # as the verb itself does, which takes the saved model
    checked = Stage(parsed, asked)
    # Retraining takes as long as training took, which pretrain.json says later.
    later = (*LATER, "steps", "passes") if verb.retrains else LATER
    if not verb.repeats and not parsed.awaits and is_finished(checked, checked.folder, later, quiet=True):
        return [], checked, None  # it will be skipped; its data may be gone by now
    facts = None
    if settings.get("name_or_path") is None and settings.get("config") is None:
        if saved is not None:
            checked.module.name_or_path = saved
        facts = None if trained is None else trained.module
    plan = asked.plan
    if verb.retrains and trained is not None and plan.steps is None and plan.passes is None:
        plan = replace(plan, steps=trained.steps)  # of the same passes it takes fewer
    problems = asked.problems + checked.problems(plan, facts)
    steps = whole_length(checked, steps_of(checked, plan)) if verb.trains and not problems else None
    if facts is None:  # what stands in for a model may name its tokenizer otherwise
        note_data_content(checked)
    other_run = [] if verb.repeats or parsed.awaits else folder_problems(checked, later)
    return other_run + problems, checked, steps
