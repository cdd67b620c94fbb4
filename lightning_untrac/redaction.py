"""Secrets that a user gave on the command line or in a configuration are neither written nor shown.

The run itself gets the real values. What is saved has a reference in their place, with which it can be run again:
``${env:NAME}`` where the value is that of an environment variable, and ``${secret}`` where it has to be given anew.
A value is a secret by its name (``api_key``, ``token``, ``password``), by its form (``hf_...``, ``sk-...``, a private
key), or because an environment variable with such a name holds it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import yaml

SECRET = "${secret}"
"""Stands for a secret that was not saved."""

SHORTEST = 8
"""Shorter values are not searched for in other texts: they would be found in harmless words."""

SURELY_NO_WORD = 16
"""Shorter values are replaced in a configuration only where they are the whole value: one may be part of a path."""

_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")

_NAMES = re.compile(
    r"(api|access|secret|private|auth|encryption|signing|licen[cs]e|ssh|service|account|master|client|app)keys?$"
    r"|secret|passw(or)?d|passphrase|passcode|^pass$|^pwd$|credential|bearer|authorization|^auth$|^jwt|cookie"
    r"|webhook|dsn$|connectionstring|accesstoken|authtoken|apitoken"
)
"""Of a name without its separators, in lower case."""

_NO_SECRET_TOKENS = {
    *("bos", "eos", "pad", "unk", "sep", "cls", "mask", "image", "audio", "video", "boundary", "boi", "eoi", "eot"),
    *("start", "end", "decoder", "forced", "special", "document", "first", "last", "per", "num", "max", "min"),
    *("begin", "suppress", "new", "prefix", "suffix", "head", "next", "target", "think", "unknown", "padding"),
}
"""Words before ``token`` that make it a piece of text."""

_FORMS = re.compile(
    r"hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}|wandb_v\d_\w{20,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abeprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=Bearer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"
    r"|(?<=[?&])(?:[\w-]*(?:token|key|secret|signature|password|sig))=[^\s&#]+",
    re.DOTALL,
)
"""Forms of keys that are known, and passwords and keys in addresses."""

_UNNAMED_KEY = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{32,}")
"""A whole value that is nothing but letters and digits, as keys are."""

_DIGESTS = re.compile(r"revision|commit|sha|hash|digest|checksum|fingerprint|_id$|^id$|^version$")
"""Names whose values look like keys and are none."""

_known: dict[str, str] = {}
"""Secrets that were met, each with what stands in its place."""


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret.

    Example:
        >>> [is_secret_name(name) for name in ("api_key", "hubToken", "WANDB_API_KEY", "db-password")]
        [True, True, True, True]
        >>> [is_secret_name(name) for name in ("tokenizer", "eos_token", "max_tokens", "key", "passes", "monkey")]
        [False, False, False, False, False, False]
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if words[-1:] == ["token"] and not _NO_SECRET_TOKENS & set(words[:-1]):
        return True
    return _NAMES.search("".join(words)) is not None


def redacted(value: Any, name: str = "", references: bool = True) -> Any:
    """A copy of a configuration without its secrets.

    Args:
        value: mappings, lists and plain values.
        name: dotted, of what ``value`` is.
        references: put ``${env:NAME}`` in the place of values of environment variables; ``${secret}`` always, where
            False: what stands there then doesn't depend on how the secret was given.

    Returns:
        What may be saved, compared and shown.

    Example:
        >>> redacted({"logger": {"project": "mine", "api_key": "abcd1234"}, "tokenizer": "byte"})
        {'logger': {'project': 'mine', 'api_key': '${secret}'}, 'tokenizer': 'byte'}
    """
    if isinstance(value, dict):
        return {key: redacted(part, f"{name}.{key}", references) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(part, name, references) for part in value]
    if isinstance(value, str):
        return _redacted_text(value, name, references)
    secret_number = isinstance(value, int) and not isinstance(value, bool) and _is_under_secret_name(name)
    return SECRET if secret_number and not name.endswith("token") else value


def hidden(text: str) -> str:
    """A text without the secrets that are known, or known by their form.

    Example:
        >>> hidden("no answer from https://me:hunter2@example.org with hf_abcdefghijklmnopqrstuvwx")
        'no answer from https://${secret}@example.org with ${secret}'
    """
    for secret, instead in sorted((_of_the_environment() | _known).items(), key=lambda pair: -len(pair[0])):
        text = text.replace(secret, instead)
    return _FORMS.sub(_form, text)


def redacted_arguments(argv: Sequence[str]) -> list[str]:
    """A command line without its secrets.

    Example:
        >>> redacted_arguments(["--trainer.logger.api_key", "abcd1234", "--steps=3", "--wandb={token: abcd1234}"])
        ['--trainer.logger.api_key', '${secret}', '--steps=3', "--wandb={token: '${secret}'}"]
    """
    found, name = [], ""
    for argument in argv:
        if not argument.startswith("--"):
            found.append(_redacted_value(argument, name))
            continue
        name, equals, value = argument.partition("=")
        found.append(f"{name}={_redacted_value(value, name)}" if equals else name)
    return found


def restored(value: Any, name: str = "") -> tuple[Any, list[str]]:
    """A configuration with the values of environment variables in the place of ``${env:NAME}``.

    Args:
        value: mappings, lists and plain values.
        name: dotted, of what ``value`` is.

    Returns:
        The configuration, and what is missing.

    Example:
        >>> restored({"logger": {"api_key": "${secret}"}})[1]
        ["logger.api_key: the secret was not saved; give it again, best as ${env:NAME} with the variable's name"]
    """
    problems: list[str] = []
    if isinstance(value, dict):
        parts = {}
        for key, part in value.items():
            parts[key], found = restored(part, f"{name}.{key}".lstrip("."))
            problems += found
        return parts, problems
    if isinstance(value, list):
        pairs = [restored(part, f"{name}[{index}]") for index, part in enumerate(value)]
        return [pair[0] for pair in pairs], [problem for pair in pairs for problem in pair[1]]
    if not isinstance(value, str) or "${" not in value:
        return value, []
    if SECRET in value:
        return value, [
            f"{name}: the secret was not saved; give it again, best as ${{env:NAME}} with the variable's name"
        ]
    for variable in dict.fromkeys(_ENVIRONMENT.findall(value)):
        reference = f"${{env:{variable}}}"
        if variable not in os.environ:
            problems.append(f"{name}: there is no environment variable {variable}; export it")
            continue
        secret = os.environ[variable]
        _remember(secret, reference)
        value = value.replace(reference, secret)
    return value, problems


def _remember(secret: str, instead: str) -> None:
    if len(secret) >= SHORTEST:
        _known[secret] = instead


def _of_the_environment() -> dict[str, str]:
    """Values of variables whose names say that they are secrets; paths lead to one and are none."""
    return {
        value: f"${{env:{name}}}"
        for name, value in os.environ.items()
        if len(value) >= SHORTEST and not value.startswith(("/", "~", "$")) and is_secret_name(name)
    }


def _is_under_secret_name(name: str) -> bool:
    parts = name.split(".")
    # `where` names columns of the user's tables.
    return "where" not in parts and any(is_secret_name(part.lstrip("-").rstrip("+")) for part in parts)


def _redacted_text(text: str, name: str, references: bool) -> str:
    if text == SECRET or _ENVIRONMENT.fullmatch(text):
        return text
    known = {**_of_the_environment(), **{secret: to for secret, to in _known.items() if "${env:" in to}}
    is_special = text[:1] in ("<", "[") and text[-1:] in (">", "]")
    last = name.rpartition(".")[2]
    looks = _UNNAMED_KEY.fullmatch(text) is not None and not _DIGESTS.search(last)
    if text and not is_special and (looks or _is_under_secret_name(name)):
        instead = known.get(text, SECRET)
        _remember(text, instead)
        return instead if references else SECRET
    for secret, instead in known.items():
        if text == secret or len(secret) >= SURELY_NO_WORD:
            text = text.replace(secret, instead if references else SECRET)
    return _FORMS.sub(_form, text)


def _form(match: re.Match[str]) -> str:
    name, equals, _ = match[0].partition("=")
    return f"{name}={SECRET}" if equals and match.string[match.start() - 1 : match.start()] in ("?", "&") else SECRET


def _redacted_value(text: str, flag: str) -> str:
    """Of a flag: a plain value, or a mapping or list in YAML's short form."""
    name = flag.lstrip("-")
    try:
        parsed = yaml.safe_load(text) if text[:1] in ("{", "[") or ": " in text else None
    except (yaml.YAMLError, RecursionError):
        return str(redacted(text, name))
    if not isinstance(parsed, (dict, list)):
        return str(redacted(text, name))
    safe = redacted(parsed, name)
    return text if safe == parsed else yaml.safe_dump(safe, default_flow_style=True, width=10**6).strip()
