"""``untrac run``: run a recipe: its stages in order, finished stages skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_untrac.config.recipes import (
    RecipeStage,
    load_recipe,
    recipe_problems,
    resolve_stages,
    shipped_recipes,
    take,
)
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.memory import release
from lightning_untrac.paths import path_problem
from lightning_untrac.redaction import redacted
from lightning_untrac.runs.rehearsal import rehearse
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.surroundings import say, temporary_output
from lightning_untrac.verb import Traits, verb_module

HELP = """usage: untrac run RECIPE [--output FOLDER] [options of every stage]

Run a recipe: its stages in order, finished stages skipped. The same command again goes on where it stopped.

  RECIPE             a yaml file, or the bare name of a shipped one: {recipes}
  --output FOLDER    where results go; by default the recipe's own `output`
  --seeds [0,1,2]    seeds of every stage that has them
  --training_seed N  another training: first weights, order of training, and all seeds that are not given follow N
  --overwrite        throw away results that the folder holds under other settings
  --print_recipe     print the recipe with these options applied, and stop

Options of model, data and trainer reach every stage that fits a model, e.g. --trainer.devices 2 --trainer.strategy ddp;
a stage's own options are set as --STAGE.OPTION, e.g. --trace.steps 50, or --trace-untrac.steps 50 for one of two."""


TRAITS = Traits(stage=False)


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    arguments = list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP.format(recipes=", ".join(shipped_recipes())))
        return
    recipe = load_recipe(arguments[0])
    flags = arguments[1:]
    given, flags = take(flags, "--output")
    output = given if given is not None else recipe.get("output") or f"runs/{Path(arguments[0]).stem}"
    problems = recipe_problems(recipe)
    if problem := path_problem(output):
        problems.append(f"output: {problem}")
        output = temporary_output("")
    output = str(Path(output).expanduser())
    stages, more = _collected(lambda: resolve_stages(recipe, flags), [])
    problems += more
    asked = [{stage.verb: stage.config} for stage in stages]
    if "--print_recipe" in flags:
        raise_if_any(problems)
        print(yaml.safe_dump(redacted({"output": output, "stages": asked}), sort_keys=False))
        return
    if fast_dev_run := any(_is_fast_dev_run(stage) for stage in stages):
        output = temporary_output(output)
    folder = RunFolder(output)
    problems += _collected(lambda: folder.problems("recipe", {}), [])[0]
    raise_if_any([*problems, *rehearse(stages, output)])
    folder.claim_folder()
    title = str(recipe.get("title") or Path(arguments[0]).stem)
    folder.write_yaml("config.yaml", {"title": title, "output": output, "stages": asked})
    folder.update_run(title=title)
    for stage in stages:
        if fast_dev_run and not stage.has_model:
            continue  # there is nothing to compare or report
        say(f"\n[{stage.number}/{stages[-1].number}] {stage.name}")
        verb_module(stage.verb).main(stage.arguments(output))
        release()


def _collected(call: Callable[[], Any], otherwise: Any) -> tuple[Any, list[str]]:
    try:
        return call(), []
    except ConfigurationError as error:
        return otherwise, error.problems


def _is_fast_dev_run(stage: RecipeStage) -> bool:
    trainer = stage.config.get("trainer")
    return bool(isinstance(trainer, dict) and trainer.get("fast_dev_run"))
