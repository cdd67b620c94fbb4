"""Whether names of the Hugging Face hub can be had: one bounded look at all of them, before anything is loaded.

The libraries try each file of each name several times, and take minutes to say that there is no network.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

LOOK_SECONDS = 10.0
"""How long all names together are looked for."""

KEPT_SECONDS = 60.0
"""How long an answer counts: in a long run the network may come back."""

Kind = Literal["model", "dataset"]


class HubName(NamedTuple):
    """A model (or its tokenizer) or a dataset of the hub."""

    kind: Kind
    name: str
    revision: str | None = None

    @property
    def is_cached(self) -> bool:
        """Whether an earlier download is here, so that no network is needed."""
        from huggingface_hub import constants

        folder = Path(constants.HF_HUB_CACHE) / f"{self.kind}s--{self.name.replace('/', '--')}" / "snapshots"
        if folder.is_dir() and any(folder.iterdir()):
            return True
        if self.kind == "model":
            return False
        import datasets

        prepared = Path(datasets.config.HF_DATASETS_CACHE) / self.name.replace("/", "___")
        return prepared.is_dir()


def hub_names(config: dict[str, Any]) -> list[HubName]:
    """The names of the hub in a verb's configuration.

    Example:
        >>> names = hub_names({"model": {"name_or_path": "facebook/opt-125m", "tokenizer": "byte"},
        ...                    "data": {"corpora": [{"path": "builtin:world/news"}, {"path": "my-org/texts"}]}})
        >>> [(name.kind, name.name) for name in names]
        [('model', 'facebook/opt-125m'), ('dataset', 'my-org/texts')]
    """
    model, data = (part if isinstance(part, dict) else {} for part in (config.get("model"), config.get("data")))
    model = model["init_args"] if isinstance(model.get("init_args"), dict) else model
    named: list[tuple[Kind, Any, Any]] = [
        ("model", model.get("name_or_path"), model.get("revision")),
        ("model", model.get("tokenizer"), model.get("revision")),
        ("model", config.get("reference"), model.get("revision")),
        ("model", config.get("trained_model"), model.get("revision")),
    ]
    for role in ("corpora", "test_sets", "forget", "holdout"):
        entries = data.get(role)
        named += [
            ("dataset", entry.get("path"), entry.get("revision"))
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict)
        ]
    found = [HubName(k, n, r if isinstance(r, str) else None) for k, n, r in named if is_hub_name(n)]
    return list(dict.fromkeys(found))


BYTE = "byte"
"""Name of the tokenizer of UTF-8 bytes (``transformers.ByT5Tokenizer``, 384 ids)."""

WORDS = "words"
"""Name of the tokenizer of the built-in ``topics``: a token a word, between ``[CLS]`` and ``[SEP]``."""

PEOPLE_WORDS = "people-words"
"""Name of the tokenizer of the built-in ``people``: a token a word or mark, of theirs and of refusals."""

BUILT_IN = (BYTE, WORDS, PEOPLE_WORDS)
"""Tokenizers that need no files."""


def is_hub_name(name: Any) -> bool:
    """Whether something can only be a name of the hub: no path that is here, nothing built in, no file's name."""
    if not isinstance(name, str) or name in BUILT_IN or not re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", name):
        return False
    return not name.startswith(".") and not _FILE_ENDING.search(name) and not os.path.exists(name)


_FILE_ENDING = re.compile(r"\.(jsonl|ndjson|json|csv|tsv|parquet|txt|text|md|gz|gguf|zst|xz|bz2|zip)$", re.IGNORECASE)

_answers: dict[HubName, tuple[float, str | None]] = {}


def look(names: Iterable[HubName]) -> None:
    """Ask the hub for all names at once, and remember what it says; cached ones need no answer.

    Where the hub does not answer, cached names are used without asking again.

    Args:
        names: of models and datasets; those that were asked for within the last minute are not asked for again.
    """
    from huggingface_hub import constants

    now = time.monotonic()
    asked = [n for n in dict.fromkeys(names) if n not in _answers or now - _answers[n][0] > KEPT_SECONDS]
    if not asked:
        return
    if constants.HF_HUB_OFFLINE:
        found: dict[HubName, str | None] = dict.fromkeys(asked, "HF_HUB_OFFLINE is set")
    else:
        found = _ask(asked, constants.ENDPOINT)
    for name in asked:
        problem = found[name]
        unreachable = problem is not None and problem.startswith(("HF_HUB_OFFLINE", "no answer"))
        if unreachable and name.is_cached:
            problem = None
            _stay_offline()
        _answers[name] = (time.monotonic(), problem)


def hub_problem(kind: Kind, name: str, revision: str | None = None) -> str | None:
    """Why a name can't be had from the hub; None where it can, or where its loader has to find out.

    Args:
        kind: ``model`` (also for tokenizers) or ``dataset``.
        name: such as ``facebook/opt-125m``.
        revision: of it.
    """
    if not is_hub_name(name):
        return None
    asked = HubName(kind, name, revision)
    look([asked])
    return _answers[asked][1]


def _ask(names: list[HubName], endpoint: str) -> dict[HubName, str | None]:
    answers: dict[HubName, str | None] = {}
    threads = [threading.Thread(target=_ask_one, args=(name, endpoint, answers), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    end = time.monotonic() + LOOK_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    silent = f"no answer from {endpoint} within {LOOK_SECONDS:g} seconds"
    return {name: answers.get(name, silent) for name in names}


def _ask_one(name: HubName, endpoint: str, answers: dict[HubName, str | None]) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi(endpoint=endpoint).repo_info(
            name.name, repo_type=name.kind, revision=name.revision, timeout=LOOK_SECONDS / 2
        )
    except GatedRepoError:
        answers[name] = f"the {name.kind} is gated: ask for access on its page and give your token (`hf auth login`)"
    except RevisionNotFoundError:
        answers[name] = f"the {name.kind} has no revision {name.revision!r}"
    except RepositoryNotFoundError:
        answers[name] = f"{endpoint} has no such {name.kind}, or it is private and your token does not open it"
    except (HfHubHTTPError, ValueError) as error:
        # It answers; what it means is for the loader to say.
        answers[name] = None if isinstance(error, HfHubHTTPError) else f"it is no name of a {name.kind} ({error})"
    except Exception as error:  # of the HTTP client, whichever it is
        cause = (str(error).splitlines() or [""])[0]
        answers[name] = f"no answer from {endpoint} ({type(error).__name__}: {cause})"
    else:
        answers[name] = None


def _stay_offline() -> None:
    """Let the libraries use their caches without trying the network again, here and in processes started from here."""
    import datasets
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
