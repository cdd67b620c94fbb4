"""Find every unknown key of a command line or configuration at once, and put the parser's errors into plain words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lightning.pytorch import Trainer

from lightning_untrac.data import CorpusDataModule
from lightning_untrac.data.config import ROLES, DatasetConfig
from lightning_untrac.modules import LanguageModule
from lightning_untrac.registry import did_you_mean

EXAMPLES = {
    "model": "model: {name_or_path: gpt2}",
    "data": "data: {batch_size: 8}",
    "trainer": "trainer: {accelerator: cpu}",
    "wandb": "wandb: {project: mine}",
    "ray": "ray: {address: auto}",
}
"""Of each group of options."""

LISTED_AT_MOST = 24
"""Longer lists (the Trainer's) are left to ``--help``."""


def parameters(function: Any) -> set[str] | None:
    """Names of what a function or class takes, with what a class hands on to its base; None where it takes anything."""
    names: set[str] = set()
    inits = [vars(cls)["__init__"] for cls in getattr(function, "__mro__", ()) if "__init__" in vars(cls)]
    for one in inits or [function]:
        found = inspect.signature(one).parameters.values()
        names |= {one.name for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found):
            return names - {"self"}
    return None


def unknown_key(path: str, key: str, known: Iterable[str], verb: str) -> str:
    """The sentence about one unknown key: what it is, what was probably meant, and what there is."""
    names = sorted(known)
    full = f"{path}.{key}" if path else key
    meant = did_you_mean(key, names)
    there = f"there are {', '.join(names)}" if len(names) <= LISTED_AT_MOST else f"`untrac {verb} --help` lists all"
    return f"{full}: unknown key; {meant}{there}"


class KnownKeys:
    """What a verb's configuration may hold.

    Args:
        verb: its name.
        options: the dataclass of its own options.
        phase: the LightningModule that it fits; None for a verb without model and data.
        data: the class of its DataModule.
    """

    def __init__(
        self,
        verb: str,
        options: type,
        phase: type[LanguageModule] | None,
        data: type[CorpusDataModule] = CorpusDataModule,
    ) -> None:
        self.verb, self.phase, self.data = verb, phase, data
        self.top = {field.name for field in fields(options)}
        self.switches = {field.name for field in fields(options) if field.default is False}
        self.groups = _groups(options)
        if phase is not None:
            self.top |= {"model", "data", "trainer"}

    def problems(self, content: dict[str, Any]) -> list[str]:
        """Every unknown key of a configuration, which is taken out of it, so that the rest can be looked at."""
        found = self._unknown("", content, self.top)
        for group, known in self.groups.items():
            found += self._unknown(group, content.get(group), known)
        if self.phase is not None:
            found += self._unknown("trainer", content.get("trainer"), parameters(Trainer))
            found += self._model(content.get("model"))
            found += self._data(content.get("data"))
        return found

    def shape_problems(self, content: dict[str, Any]) -> list[str]:
        """Groups of options that are given as something else than a mapping; they are taken out."""
        found = []
        for group in ("model", "data", "trainer", *self.groups):
            value = content.get(group)
            if value is None or isinstance(value, dict) or group not in self.top:
                continue
            if group == "ray" and isinstance(value, bool):  # Ray with its defaults, or no Ray
                continue
            if group == "model" and isinstance(value, str):
                found.append(f"model: got {value!r}; a model is named as `model: {{name_or_path: {value}}}`")
            else:
                found.append(f"{group}: got {value!r}; expected a mapping of its options, e.g. `{EXAMPLES[group]}`")
            del content[group]
        return found

    def flag_problems(self, flags: Sequence[str]) -> list[str]:
        """Every unknown ``--key`` of a command line."""
        content: dict[str, Any] = {}
        for flag in flags:
            if not flag.startswith("--"):
                continue
            key = flag.removeprefix("--").partition("=")[0].rstrip("+")
            head, *rest = key.split(".")
            if head in ("config", "help", "print_config") or (rest and rest[-1] == "help"):
                continue
            if not rest:
                content.setdefault(head, {})
            elif isinstance(content.setdefault(head, {}), dict):
                content[head].setdefault(rest[0], {})
        model = content.get("model", {})
        if "class_path" in model or "--model" in flags or any(flag.startswith("--model=") for flag in flags):
            content.pop("model", None)  # of another class: its parser will say
        return [f"--{problem}" for problem in self.problems(content)]

    def known_flags(self, flags: Sequence[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
        """A command line without its unknown ``--key`` and their values."""
        every = [flag for flag in flags if isinstance(flag, str)]
        of_class = [flag for flag in every if re.match(r"--model(=|$|\.class_path)", flag)][:1]
        found, known = list[str | dict[str, Any]](), True
        for flag in flags:
            if not isinstance(flag, str):
                known = True
            elif flag.startswith("--"):
                known = not self.flag_problems([flag, *of_class])
            if known:
                found.append(flag)
        return found

    def _unknown(self, path: str, content: Any, known: set[str] | None) -> list[str]:
        if not isinstance(content, dict) or known is None:
            return []
        # `key+: value` appends to a list.
        unknown = [key for key in content if str(key).rstrip("+") not in known]
        for key in unknown:
            del content[key]
        return [unknown_key(path, str(key), known, self.verb) for key in unknown]

    def _model(self, content: Any) -> list[str]:
        if not isinstance(content, dict):
            return []
        if "class_path" not in content:
            return self._unknown("model", content.get("init_args", content), parameters(self.phase))
        found = self._unknown("model", content, {"class_path", "init_args", "dict_kwargs"})
        module, _, name = str(content["class_path"]).rpartition(".")
        try:
            of_class = getattr(import_module(module or "lightning_untrac"), name)
        except (ImportError, AttributeError):
            return found  # the parser says that there is no such class
        return found + self._unknown("model", content.get("init_args"), parameters(of_class))

    def _data(self, content: Any) -> list[str]:
        taken = parameters(self.data)
        found = self._unknown("data", content, None if taken is None else taken - {"plan"})
        known = {field.name for field in fields(DatasetConfig)}
        for role in ROLES:
            entries = content.get(role) if isinstance(content, dict) else None
            for index, entry in enumerate(entries if isinstance(entries, list) else []):
                found += self._unknown(f"data.{role}[{index}]", entry, known)
                if isinstance(entry, dict) and "path" not in entry:
                    found.append(
                        f"data.{role}[{index}]: has no `path`; give a file, a folder, a hub id or builtin:NAME"
                    )
            if isinstance(entries, list):
                content[role] = [e for e in entries if not isinstance(e, dict) or "path" in e]
        return found


def _groups(options: type) -> dict[str, set[str]]:
    """Options that are dataclasses themselves (``wandb``, ``ray``), each with the names of its fields."""
    found = {}
    for name, hint in get_type_hints(options).items():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                found[name] = {field.name for field in fields(part)}
    return found


def plain_words(message: str) -> str:
    r"""One sentence from the parser's several lines.

    Example:
        >>> plain_words(
        ...     'Parser key "steps":\n  Does not validate against any of the Union subtypes\n  Errors:\n'
        ...     "    - Expected a <class 'int'>\n    - Expected a <class 'NoneType'>\n  Given value: x"
        ... )
        "steps: got 'x'; expected int"
    """
    message = re.sub(r"NestedArg\(key='[^']*', val=(.*)\)", r"\1", message)
    message = re.sub(
        r" Got value: Namespace\(.*|Type typing\.Callable\S* .* expects a function or a callable class: ", "", message
    )
    required = re.match(r"the following arguments are required: (.*)", message)
    if required:
        return "; ".join(f"{name}: not given; it is needed (--{name})" for name in required[1].split(", "))
    key, body = "", message
    while nested := re.search(r'Parser key "([^"]+)":', body):
        key, body = f"{key}.{nested[1]}".lstrip("."), body[: nested.start()] + body[nested.end() :]
    given = re.search(r"Given value: (.*)$", body, re.S)
    dropped = (
        "Does not validate",
        "Subtypes:",
        "Errors:",
        "Given value",
        "Problem with given class_path",
        "Expected a path but",
    )
    reasons = []
    for line in body.splitlines():
        text = line.strip().removeprefix("- ")
        if text and not text.startswith(dropped) and "NoneType" not in text:
            reasons.append(_readable_type(text))
    if no_class := _no_class(key, message):
        return no_class
    expected = [reason.removeprefix("Expected a ") for reason in reasons if reason.startswith("Expected a ")]
    if len(expected) == len(reasons) and given is not None:
        return f"{key}: got {given[1].strip()!r}; expected {' or '.join(expected)}"
    reasons = [reason.replace("Expected a one of", "expected one of") for reason in reasons]
    return f"{key}: {'; '.join(reasons)}" if key else "; ".join(reasons)


def own_reasons(message: str) -> list[str]:
    r"""What a class said of its arguments, of the parser's words on why no type of a union fits.

    Example:
        >>> own_reasons(
        ...     "Does not validate against any of the Union subtypes\nErrors:\n  - Does not validate against any of ..."
        ...     "\n    Errors:\n      - NPO(beta=0.0): give a number above 0\n      - Expected a <class 'NoneType'>"
        ... )
        ['NPO(beta=0.0): give a number above 0']
    """
    if not message.startswith("Does not validate"):
        return []
    reasons = [line.strip()[2:] for line in message.splitlines() if line.strip().startswith("- ")]
    return [reason for reason in reasons if not reason.startswith(("Does not validate", "Expected "))]


def _no_class(key: str, message: str) -> str:
    """That a class path leads nowhere, and where classes are; empty where that is not what is wrong."""
    if named := re.search(r"Expected a dot import path string: (\S+)", message):
        from lightning_untrac import objectives

        name = named[1].rpartition(".")[2]
        if name in objectives.NOW_WRITTEN:
            return f"{key}: {name} is a setting now: {objectives.NOW_WRITTEN[name]}"
        known = f"there are {', '.join(_terms_for(key))}, and " if "unlearning_objective" in key else ""
        return f"{key}: there is no class {named[1]!r}; {known}your own by its class path (module.Class)"
    if missing := re.search(r"module '(lightning_untrac[^']*)' has no attribute '(\w+)'", message):
        name = ".".join(missing.groups())
        if now := _moved_to(name):
            return f"{key}: {name} is {now} now"
    if module := re.search(r"No module named '([^']+)'", message):
        if now := _moved_to(module[1]):
            return f"{key}: {module[1]} is {now} now"
        return (
            f"{key}: there is no module {module[1]!r} to import; if it lies in the working directory, begin the "
            "command with PYTHONPATH=."
        )
    return ""


def _terms_for(key: str) -> list[str]:
    """Names of the terms that may stand at a key of an objective; a forget term may stand for the whole of it."""
    from lightning_untrac import objectives

    kinds = {"retain": objectives.RetainTerm, "anchor": objectives.Anchor, "rectify": objectives.Rectifier}
    base = next((kind for part, kind in kinds.items() if f".{part}" in key), objectives.ForgetTerm)
    classes = [getattr(objectives, name) for name in objectives.__all__]
    return [one.__name__ for one in classes if isinstance(one, type) and issubclass(one, base) and one is not base]


def _moved_to(module: str) -> str:
    """Where a module of this package has gone, by its last name; empty for any other."""
    package, _, name = module.partition(".")
    if package != "lightning_untrac" or not name:
        return ""
    root = Path(__file__).parents[1]
    found = sorted(root.rglob(f"{name.rpartition('.')[2]}.py"))
    return ".".join((package, *found[0].relative_to(root).with_suffix("").parts)) if found else ""


def _readable_type(text: str) -> str:
    text = re.sub(r"<class '([^']+)'>", lambda m: m[1].rpartition(".")[2], text)
    text = re.sub(r"typing\.Literal\[([^\]]*)\]", r"one of \1", text)
    return re.sub(r"^Expected an? (.+?)\. Got value: (.*)$", lambda m: f"got {m[2]!r}; expected {m[1]}", text)
