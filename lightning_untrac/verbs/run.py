"""``untrac run``: a recipe's steps in order."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from lightning_untrac.cli import VERBS
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.memory import release
from lightning_untrac.verbs.parsing import load_yaml
from lightning_untrac.verbs.rehearsal import rehearse, step_arguments, verb_module
from lightning_untrac.verbs.run_folder import RunFolder
from lightning_untrac.verbs.surroundings import say, temporary_output
from lightning_untrac.verbs.training_seed import KEY, training_seed, with_training_seed

STEP_VERBS = [verb for verb in VERBS if verb not in ("run", "merge")]
WITHOUT_MODEL = ("compare", "report")
MODEL_BEFORE_TRAINING = ("config", "name_or_path", "lora")
REPLACED_BY_TRAINING = (*MODEL_BEFORE_TRAINING, "optimizer", "lr_scheduler")
"""Settings of the model that a saved model brings along, or that were meant for training."""
SHARED = ("model", "data", "trainer")
HELP = """usage: untrac run RECIPE [--output FOLDER] [options of every step]

Run a recipe: its steps in order, finished steps skipped. The same command again goes on where it stopped.

  RECIPE             a yaml file, or the bare name of a shipped one: {recipes}
  --output FOLDER    where results go; by default the recipe's own `output`
  --seeds [0,1,2]    seeds of every step that has them
  --training_seed N  another training: first weights, order of training, and all seeds that are not given follow N
  --overwrite        throw away results that the folder holds under other settings
  --print_recipe     print the recipe with these options applied, and stop

Options of model, data and trainer reach every step that fits a model, e.g. --trainer.devices 2 --trainer.strategy ddp;
a step's own options are set as --STEP.OPTION, e.g. --trace.steps 50, or --trace-untrac.steps 50 for one of two."""


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    arguments = list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP.format(recipes=", ".join(shipped_recipes())))
        return
    recipe = load_recipe(arguments[0])
    flags = arguments[1:]
    output, flags = _take(flags, "--output")
    output = output or recipe.get("output") or f"runs/{Path(arguments[0]).stem}"
    steps = resolve_steps(recipe, flags)
    if "--print_recipe" in flags:
        print(yaml.safe_dump({"output": output, "steps": [{verb: config} for verb, config in steps]}, sort_keys=False))
        return
    if fast_dev_run := any(config.get("trainer", {}).get("fast_dev_run") for _, config in steps):
        output = temporary_output(output)
    folder = RunFolder(output)
    raise_if_any(folder.problems("recipe", {}))
    rehearse(steps, output)
    folder.claim_folder()
    folder.write_yaml("config.yaml", {"output": output, "steps": [{verb: config} for verb, config in steps]})
    folder.update_run(title=recipe.get("title", Path(arguments[0]).stem))
    for number, (verb, config) in enumerate(steps, start=1):
        if fast_dev_run and verb in WITHOUT_MODEL:
            continue  # there is nothing to compare or report
        name = f"{verb} {config['method']}" if "method" in config else verb
        say(f"\n[{number}/{len(steps)}] {name}")
        with step_arguments(verb, config, output) as arguments_of_step:
            verb_module(verb).main(arguments_of_step)
        release()


# -- recipes -----------------------------------------------------------------------------------------------------------


def recipes_folder() -> Path:
    """Where the shipped recipes are."""
    return Path(str(import_module("lightning_untrac.recipes").__file__)).parent


def shipped_recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def load_recipe(name: str) -> dict[str, Any]:
    """Read a recipe by path or by the bare name of a shipped one.

    Raises:
        ConfigurationError: if there is none, or it is no recipe.
    """
    path = Path(name)
    if not path.is_file():
        shipped = recipes_folder() / f"{path.stem}.yaml"
        # The README's `recipes/quickstart.yaml` works from any folder, not only from a source tree.
        if not shipped.is_file() or (path.parent != Path() and path.parent.name != "recipes"):
            raise ConfigurationError([f"recipe: there is no file {name}; shipped are {', '.join(shipped_recipes())}"])
        path = shipped
    recipe = load_yaml(path)
    problems = []
    known = {"title", "output", "steps", "wandb", KEY, *SHARED}
    problems += [
        f"recipe: unknown key {key!r}; a recipe has {', '.join(sorted(known))}" for key in recipe.keys() - known
    ]
    steps = recipe.get("steps")
    if not isinstance(steps, list) or not steps:
        problems.append("recipe: has no `steps`; list at least one, e.g. `- trace: {method: untrac}`")
        steps = []
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, dict) or len(step) != 1:
            problems.append(f"recipe: step {number} is no single `verb: options`")
        elif next(iter(step)) not in STEP_VERBS:
            problems.append(f"recipe: step {number} is {next(iter(step))!r}; steps are {', '.join(STEP_VERBS)}")
    raise_if_any(problems)
    return recipe


def resolve_steps(recipe: dict[str, Any], flags: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each step with the recipe's shared settings, its own, and the flags, in that order of strength.

    After a ``pretrain`` step, later steps use its model instead of the shared one (``model.config`` or
    ``model.name_or_path``, also where a flag gives it), and ``leave-out`` retrains with its settings.

    Args:
        recipe: as it was read.
        flags: the command line after the recipe's name.

    Raises:
        ConfigurationError: for a flag that no step could take.
    """
    given, flags = _take(list(flags), f"--{KEY}")
    seed = training_seed(recipe.get(KEY) if given is None else given)
    overrides = parse_flags(flags)
    steps: list[tuple[str, dict[str, Any]]] = []
    training: dict[str, Any] | None = None
    for step in recipe["steps"]:
        verb, own = next(iter(step.items()))
        config: dict[str, Any] = {}
        if verb not in WITHOUT_MODEL:
            config = {key: recipe[key] for key in SHARED if key in recipe}
            if training is not None and "model" in config:
                config["model"] = {k: v for k, v in config["model"].items() if k not in REPLACED_BY_TRAINING}
            if training is not None and verb == "leave-out":
                config = merge(config, training)
        if recipe.get("wandb") is not None:
            config["wandb"] = recipe["wandb"]
        config = merge(config, own or {})
        for scope, override in overrides:
            takes_model = verb not in WITHOUT_MODEL
            step_name = f"{verb}-{config.get('method', 'untrac')}" if verb == "trace" else verb
            applies = scope in (verb, step_name) or (scope is None and _reaches(override, verb, takes_model))
            if training is not None and scope is None and "model" in override:
                override = _of_the_trained_model(override)
            if applies and "steps" in override:
                config.pop("passes", None)  # the flag replaces the recipe's own way of saying how long
            config = merge(config, override) if applies else config
        config = with_training_seed(verb, config, seed)
        if verb == "pretrain":
            training = {key: dict(config[key]) for key in SHARED if key in config}
            training["model"] = {k: v for k, v in training.get("model", {}).items() if k != "config"}
            for counted in ("max_epochs", "max_steps"):  # pretrain.json says how long training took
                training.get("trainer", {}).pop(counted, None)
        methods = str(config["method"]).split(",") if verb == "trace" and "method" in config else [None]
        steps += [(verb, {**config, "method": method.strip()} if method else config) for method in methods]
    return steps


def _of_the_trained_model(override: dict[str, Any]) -> dict[str, Any]:
    return {"model": {k: v for k, v in override["model"].items() if k not in MODEL_BEFORE_TRAINING}}


def _reaches(override: dict[str, Any], verb: str, takes_model: bool) -> bool:
    key = next(iter(override))
    if key in SHARED:
        return takes_model
    if key == "seeds":
        return verb in ("trace", "leave-out")
    if key == "overwrite":
        return takes_model
    return key == "wandb"


def parse_flags(flags: Sequence[str]) -> list[tuple[str | None, dict[str, Any]]]:
    """``--trainer.devices 2 --trace.steps=5`` to nested mappings, each with the verb that it is for or None.

    Raises:
        ConfigurationError: for something that is no flag, or that no step takes.

    Example:
        >>> parse_flags(["--trainer.devices", "2", "--trace.steps=5"])
        [(None, {'trainer': {'devices': 2}}), ('trace', {'steps': 5})]
    """
    found: list[tuple[str | None, dict[str, Any]]] = []
    problems = []
    rest = [flag for flag in flags if flag != "--print_recipe"]
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            problems.append(f"{flag!r} is no flag; options begin with --")
            continue
        key, equals, value = flag.removeprefix("--").partition("=")
        if not equals:
            value = "true" if not rest or rest[0].startswith("--") else rest.pop(0)
        head, *path = key.split(".")
        scope = head if (head in STEP_VERBS or head.startswith("trace-")) and path else None
        keys = path if scope else [head, *path]
        if scope is None and head not in (*SHARED, "seeds", "overwrite", "wandb"):
            problems.append(
                f"--{key}: no step takes it; use --model.*, --data.*, --trainer.*, --seeds, --wandb.*, --overwrite, "
                f"or --STEP.OPTION with STEP one of {', '.join(STEP_VERBS)}, trace-untrac, trace-untrac_inv"
            )
            continue
        nested: Any = yaml.safe_load(value)
        for part in reversed(keys):
            nested = {part: nested}
        found.append((scope, nested))
    raise_if_any(problems)
    return found


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, mapping into mapping; a class path replaces the settings of another class.

    Example:
        >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
        {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        same_class = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and ("class_path" not in value or old.get("class_path") in (None, value["class_path"]))
        )
        merged[key] = merge(old, value) if same_class and old is not None else value
    return merged


def _take(flags: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of one flag, and the other flags."""
    for index, flag in enumerate(flags):
        if flag == name and index + 1 < len(flags):
            return flags[index + 1], flags[:index] + flags[index + 2 :]
        if flag.startswith(f"{name}="):
            return flag.removeprefix(f"{name}="), flags[:index] + flags[index + 1 :]
    return None, flags
