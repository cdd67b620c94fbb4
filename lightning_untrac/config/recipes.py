"""A recipe as its author wrote it, and the stages that it comes to with the command line's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_untrac.config.keys import EXAMPLES, unknown_key
from lightning_untrac.config.method_lists import merge, stages_of, with_settings
from lightning_untrac.config.strict_yaml import load_strictly, load_yaml
from lightning_untrac.config.trainer_callbacks import for_retraining
from lightning_untrac.config.training_seed import KEY, training_seed, with_training_seed
from lightning_untrac.errors import ConfigurationError, problems_of, raise_if_any
from lightning_untrac.paths import path_problem
from lightning_untrac.verb import is_stage, stage_verbs, traits, verb_of_stage

MODEL_BEFORE_TRAINING = ("config", "name_or_path", "lora")
REPLACED_BY_TRAINING = (*MODEL_BEFORE_TRAINING, "optimizer", "lr_scheduler")
"""Settings of the model that a saved model brings along, or that were meant for training."""
SHARED = ("model", "data", "trainer")


@dataclass(frozen=True)
class RecipeStage:
    """What one verb is to do in a recipe.

    Attributes:
        number: its place in the recipe, from 1; what a recipe asks of several methods at once is a stage for each.
        verb: its verb.
        config: its configuration.
        alone: whether no other stage has its number.
    """

    number: int
    verb: str
    config: dict[str, Any]
    alone: bool = True

    @property
    def name(self) -> str:
        """The verb, and the method or the name where there is one.

        >>> RecipeStage(1, "unlearn", {"method": {"class_path": "ga", "init_args": {"stop": "max"}}}).name
        'unlearn ga'
        """
        told = self.config.get("method") or self.config.get("name")
        if isinstance(told, Mapping):  # with settings of its own
            told = str(told.get("class_path")).rpartition(".")[2]
        return f"{self.verb} {told}" if told else self.verb

    @property
    def has_model(self) -> bool:
        """Whether it fits or evaluates a model."""
        return traits(self.verb).phase is not None

    def arguments(self, output: str) -> list[str | Mapping[str, Any]]:
        """What its verb is called with.

        Args:
            output: the run's folder.
        """
        return [{**self.config, "output": output}]

    @property
    def label(self) -> str:
        """What messages call it: as the recipe's author counts."""
        return f"stage {self.number} ({self.verb if self.alone else self.name})"


def recipes_folder() -> Path:
    """Where the shipped recipes are."""
    return Path(str(import_module("lightning_untrac.recipes").__file__)).parent


def shipped_recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def load_recipe(name: str) -> dict[str, Any]:
    """Read a recipe by path or by the bare name of a shipped one.

    Raises:
        ConfigurationError: if there is none, or it is no YAML mapping.
    """
    if problem := path_problem(name):
        raise ConfigurationError([f"recipe: {problem}"])
    path = Path(name).expanduser()
    if not path.is_file():
        shipped = recipes_folder() / f"{path.stem}.yaml"
        # The README's `recipes/quickstart.yaml` works from any folder, not only from a source tree.
        if not shipped.is_file() or (path.parent != Path() and path.parent.name != "recipes"):
            raise ConfigurationError([f"recipe: there is no file {name}; shipped are {', '.join(shipped_recipes())}"])
        path = shipped
    content = load_yaml(path)
    renamed = stages_of(content) == ["steps"]
    return {"stages" if renamed and key == "steps" else key: value for key, value in content.items()}


def recipe_problems(recipe: dict[str, Any]) -> list[str]:
    """What is wrong with a recipe's own keys and with the form of its stages."""
    known = {"title", "output", "stages", "wandb", KEY, *SHARED}
    found = [
        unknown_key("", key, known, "run").replace(": unknown key", ": unknown key of a recipe", 1)
        for key in map(str, recipe)
        if key not in known
    ]
    found += [
        f"{group}: got {recipe[group]!r}; expected a mapping of its options, e.g. `{EXAMPLES[group]}`"
        for group in (*SHARED, "wandb")
        if not isinstance(recipe.get(group), (dict, type(None)))
    ]
    if isinstance(recipe.get("title"), (dict, list)):
        found.append(f"title: got {recipe['title']!r}; expected text")
    stages = recipe.get("stages")
    if not isinstance(stages, list) or not stages:
        found.append("recipe: has no `stages`; list at least one, e.g. `- trace: {method: untrac}`")
        stages = []
    return found + [
        problem for number, stage in enumerate(stages, start=1) for problem in _stage_problems(number, stage)
    ]


def _stage_problems(number: int, stage: Any) -> list[str]:
    if isinstance(stage, str) and stage in stage_verbs():
        return [f"recipe: stage {number} is the word {stage!r}; write `- {stage}:` with a colon"]
    if not isinstance(stage, dict) or len(stage) != 1:
        return [f"recipe: stage {number} is no single `verb: options`"]
    verb, own = next(iter(stage.items()))
    if not is_stage(verb):
        return [f"recipe: stage {number} is {verb!r}; stages are {', '.join(stage_verbs())}"]
    if own is not None and not isinstance(own, dict):
        named = isinstance(own, str) and traits(verb).has_option("method")
        example = f"{{method: {own}}}" if named else "{option: value}"
        return [f"recipe: stage {number} is `{verb}: {own}`; its options are a mapping: `- {verb}: {example}`"]
    found = [
        f"stage {number} ({verb}): {group}: got {value!r}; expected a mapping of its options"
        for group, value in (own or {}).items()
        if group in SHARED and not isinstance(value, (dict, type(None)))
    ]
    wrong = problems_of(lambda: traits(verb).apart(own or {}))
    return found + [f"stage {number} ({verb}): {problem}" for problem in wrong]


def resolve_stages(recipe: dict[str, Any], flags: Sequence[str]) -> list[RecipeStage]:
    """Each stage with the recipe's shared settings, its own, its method's, and the flags, in that order of strength.

    After a ``pretrain`` stage, later stages use its model instead of the shared one (``model.config`` or
    ``model.name_or_path``, also where a flag gives it), and ``leave-out`` retrains with its settings.
    Steps in which :func:`recipe_problems` found something are left out.

    Args:
        recipe: as it was read.
        flags: the command line after the recipe's name.

    Raises:
        ConfigurationError: for a flag that no stage could take.
    """
    given, flags = take(list(flags), f"--{KEY}")
    seed = training_seed(recipe.get(KEY) if given is None else given)
    overrides = parse_flags(flags)
    shared = {key: recipe[key] for key in (*SHARED, "wandb") if isinstance(recipe.get(key), dict)}
    stages: list[RecipeStage] = []
    training: dict[str, Any] | None = None
    asked = recipe.get("stages")
    for number, stage in enumerate(asked if isinstance(asked, list) else [], start=1):
        if _stage_problems(number, stage):
            continue
        verb, own = next(iter(stage.items()))
        own = {key: value for key, value in (own or {}).items() if value is not None or key not in SHARED}
        apart = traits(verb).apart
        each = apart(merge(_shared_settings(verb, shared, training), own))
        each = [_with_flags(verb, one, overrides, training is not None) for one in each]
        # `--trace.method a,b` names several in a flag.
        each = [part for one in each for part in apart(one)]
        each = [with_training_seed(verb, one, seed) for one in each]
        if traits(verb).trains:
            training = _settings_of_training(each[0])
        stages += [RecipeStage(number, verb, one, alone=len(each) == 1) for one in each]
    return stages


def _shared_settings(verb: str, shared: dict[str, Any], training: dict[str, Any] | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if traits(verb).phase is not None:
        config = {key: shared[key] for key in SHARED if key in shared}
        if training is not None and "model" in config:
            config["model"] = {k: v for k, v in config["model"].items() if k not in REPLACED_BY_TRAINING}
        if training is not None and traits(verb).retrains:
            config = merge(config, training)
    if "wandb" in shared:
        config["wandb"] = shared["wandb"]
    return config


def _settings_of_training(config: dict[str, Any]) -> dict[str, Any]:
    """Of a ``pretrain`` stage: those with which ``leave-out`` retrains."""
    training = {key: dict(config[key]) for key in SHARED if isinstance(config.get(key), dict)}
    training["model"] = {k: v for k, v in training.get("model", {}).items() if k != "config"}
    if "trainer" in training:
        training["trainer"] = for_retraining(training["trainer"])
    return training


def _with_flags(
    verb: str, config: dict[str, Any], overrides: Sequence[tuple[str | None, dict[str, Any]]], trained: bool
) -> dict[str, Any]:
    told = config.get("method", traits(verb).default("method")) or config.get("name")
    stage_name = verb if told is None else f"{verb}-{told}"
    for scope, override in overrides:
        applies = scope in (verb, stage_name) or (scope is None and _reaches(override, verb))
        if trained and scope is None and isinstance(override.get("model"), dict):
            model = {k: v for k, v in override["model"].items() if k not in MODEL_BEFORE_TRAINING}
            override = {"model": model}
        config = with_settings(config, override) if applies else config
    return config


def _reaches(override: dict[str, Any], verb: str) -> bool:
    key = next(iter(override))
    if key in SHARED or key == "overwrite":
        return traits(verb).phase is not None
    if key == "seeds":
        return traits(verb).has_option("seeds")
    return key == "wandb"


def parse_flags(flags: Sequence[str]) -> list[tuple[str | None, dict[str, Any]]]:
    """``--trainer.devices 2 --trace.steps=5`` to nested mappings, each with the verb that it is for or None.

    Raises:
        ConfigurationError: for something that is no flag, or that no stage takes.

    Example:
        >>> parse_flags(["--trainer.devices", "2", "--trace.steps=5"])
        [(None, {'trainer': {'devices': 2}}), ('trace', {'steps': 5})]
    """
    found: list[tuple[str | None, dict[str, Any]]] = []
    problems: list[str] = []
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
        scope = head if path and is_stage(verb_of_stage(head)) else None
        keys = path if scope else [head, *path]
        if scope is None and head not in (*SHARED, "seeds", "overwrite", "wandb"):
            problems.append(
                f"--{key}: no stage takes it; use --model.*, --data.*, --trainer.*, --seeds, --wandb.*, --overwrite, "
                f"or --STAGE.OPTION with STAGE one of {', '.join(stage_verbs())}, trace-untrac, trace-untrac_inv"
            )
            continue
        try:
            nested = _value(value, f"--{key}")
        except ConfigurationError as error:
            problems += error.problems
            continue
        for part in reversed(keys):
            nested = {part: nested}
        found.append((scope, nested))
    raise_if_any(problems)
    return found


def _value(text: str, flag: str) -> Any:
    """Of a flag: YAML; text that is none, such as one with two colons, is meant as it stands."""
    try:
        return load_strictly(text, flag)
    except ConfigurationError:
        if text.lstrip()[:1] in ("{", "[", "!", "&", "*"):
            raise
        return text


def take(flags: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of one flag, and the other flags."""
    for index, flag in enumerate(flags):
        if flag == name and index + 1 < len(flags):
            return flags[index + 1], flags[:index] + flags[index + 2 :]
        if flag.startswith(f"{name}="):
            return flag.removeprefix(f"{name}="), flags[:index] + flags[index + 1 :]
    return None, flags
