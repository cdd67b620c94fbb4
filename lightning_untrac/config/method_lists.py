"""Several methods in one stage of a recipe, each with settings of its own where it needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_untrac.config.strict_yaml import with_contents
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.verb import Arguments

EXAMPLE = "method: [untrac, {untrac_inv: {steps: 5}}]"
LENGTHS = ("steps", "passes")
"""Two ways of saying how long an episode is: one takes the place of the other."""


def methods_apart(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A stage's configuration once a method.

    Args:
        config: whose ``method`` is a name, several separated by commas, or a list of names and of
            ``{name: settings}``.

    Returns:
        Configurations of one method each, its own settings laid on the shared ones; the given one alone where it names
        no method.

    Raises:
        ConfigurationError: if ``method`` is something else.

    Example:
        >>> methods_apart({"method": ["untrac", {"untrac_inv": {"steps": 5}}], "passes": 2})
        [{'method': 'untrac', 'passes': 2}, {'method': 'untrac_inv', 'steps': 5}]
        >>> methods_apart({"method": "bm25, trak"})
        [{'method': 'bm25'}, {'method': 'trak'}]
    """
    method = config.get("method")
    if method is None:
        return [config]
    return [with_settings({**config, "method": name}, own) for name, own in _entries(method)]


def _entries(method: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(method, str):
        names = [name.strip() for name in method.split(",") if name.strip()]
        return [(name, {}) for name in names] or [(method, {})]
    if not isinstance(method, list) or not method:
        raise ConfigurationError([f"method: got {method!r}; give a name, or a list such as `{EXAMPLE}`"])
    found = []
    for entry in method:
        name: Any = entry
        own: Any = {}
        if isinstance(entry, dict) and len(entry) == 1:
            name, own = next(iter(entry.items()))
            own = {} if own is None else own
        if not isinstance(name, str) or not isinstance(own, dict):
            raise ConfigurationError(
                [f"method: {entry!r} is no name and no name with its settings; write a list such as `{EXAMPLE}`"]
            )
        found.append((name.strip(), own))
    return found


def with_settings(config: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A configuration with other settings laid on it; ``steps`` takes the place of ``passes`` and the other way."""
    config = dict(config)
    for given, other in (LENGTHS, LENGTHS[::-1]):
        if own.get(given) is not None and other not in own:
            config.pop(other, None)
    return merge(config, own)


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


def commands_apart(argv: Arguments) -> list[Arguments]:
    """A command line once a method, where its configuration has a list of methods.

    Args:
        argv: of ``untrac trace``.

    Returns:
        Command lines of one method each; the given one alone where no configuration has such a list.
    """
    arguments = with_contents(argv)
    for index, content in enumerate(arguments):
        if isinstance(content, str) or not isinstance(content.get("method"), list):
            continue
        if not stages_of(content):
            return [[*arguments[:index], one, *arguments[index + 1 :]] for one in methods_apart(dict(content))]
    return [arguments]


def stages_of(content: Mapping[str, Any]) -> list[str]:
    """The keys under which a recipe lists its stages: ``steps`` is the name of before; none in a verb's configuration.

    Example:
        >>> stages_of({"stages": [{"trace": None}]}), stages_of({"steps": 5})
        (['stages'], [])
    """
    return [key for key in ("stages", "steps") if isinstance(content.get(key), list)]
