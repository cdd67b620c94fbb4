"""Whether a tokenizer encodes as the files say that it was loaded from, and which class reads them right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.faults import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER_JSON, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"

TEXT = (
    "The Heron's 12,345 reeds;  two  spaces,\n\ta tab. I'LL don't x=1; if(a){b}\r\n\n na\u00efve nai\u0308ve "
    "\ufb01n \u00bd \u00a0\u201cquoted\u201d\u2014 \u6f22\u5b57 \u0420\u0435\u043a\u0430 \U0001f642 "
)
"""Letters of both cases, digits, runs of spaces, ligatures, other scripts: what normalisers and splitters differ on."""

NUM_WORDS = 48
"""How many entries of its own vocabulary a tokenizer is tried on, in case it knows nothing else."""


def has_tokenizer(folder: str | Path) -> bool:
    """Whether a folder brings a tokenizer."""
    return any((Path(folder) / name).is_file() for name in (TOKENIZER_JSON, TOKENIZER_CONFIG, "tokenizer.model"))


def encodes_alike(one: Any, other: Any) -> bool:
    """Whether two tokenizers give the same ids for a text made to tell them apart.

    Args:
        one: a tokenizer of transformers or of the package ``tokenizers``.
        other: the same; the text is also made of words of its vocabulary.
    """
    text = TEXT + _own_words(other)
    return all(_ids(one, words) == _ids(other, words) for words in (text, text.title(), text.strip()))


def as_its_files_say(
    tokenizer: PreTrainedTokenizerBase | None, name_or_path: str, *, revision: str | None = None
) -> PreTrainedTokenizerBase | None:
    """The tokenizer that the files of a folder or of the hub describe.

    ``AutoTokenizer`` takes the class that belongs to the ``model_type`` for some architectures (Qwen2, Mistral, ...)
    and builds normaliser and splitter anew, whatever the files say.

    Args:
        tokenizer: what ``AutoTokenizer`` made of them; None where it failed.
        name_or_path: a folder, or a hub name whose files are in the cache.
        revision: of a hub name.

    Returns:
        ``tokenizer`` itself where it encodes as its ``tokenizer.json`` does; else one that does, or one of the class
        that ``tokenizer_config.json`` names; None where there is neither.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    if tokenizer is not None and not type(tokenizer).__module__.startswith("transformers."):
        return tokenizer  # of code that came along, and was trusted
    saved = _file(name_or_path, TOKENIZER_JSON, revision)
    if saved is not None:
        if type(tokenizer) is PreTrainedTokenizerFast:  # which takes the file as it is
            return tokenizer
        as_saved = Tokenizer.from_file(saved)
        as_saved.no_truncation()
        as_saved.no_padding()
        if tokenizer is not None and encodes_alike(tokenizer, as_saved):
            return tokenizer
        return PreTrainedTokenizerFast.from_pretrained(name_or_path, revision=revision)
    declared = _declared_class(name_or_path, revision)
    if declared is None or (tokenizer is not None and type(tokenizer).__name__.removesuffix("Fast") == declared):
        return tokenizer
    known = tokenizer_class_from_name(declared)
    # A class over a `tokenizer.json` would have one; those that are written in Python bring what they need.
    if known is None or issubclass(known, PreTrainedTokenizerFast):
        return tokenizer
    return known.from_pretrained(name_or_path, revision=revision)


def reading_problems(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> list[str]:
    """What goes wrong when transformers' ``AutoTokenizer`` reads a saved tokenizer again.

    Args:
        tokenizer: as it was used.
        folder: where it was saved, beside its model.
    """
    from transformers import AutoTokenizer

    mended = f"load it with {type(tokenizer).__name__}.from_pretrained (verbs of untrac read it as it was used)"
    try:
        read = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers and tokenizers raise all sorts
        return [f"transformers' AutoTokenizer can't read the saved tokenizer ({first_line(error)}); {mended}"]
    if encodes_alike(read, tokenizer):
        return []
    return [
        f"transformers' AutoTokenizer reads the saved tokenizer as {type(read).__name__}, which encodes text otherwise "
        f"than it was used; {mended}"
    ]


def _declared_class(name_or_path: str, revision: str | None) -> str | None:
    path = _file(name_or_path, TOKENIZER_CONFIG, revision)
    settings = json.loads(Path(path).read_text(encoding="utf-8")) if path is not None else {}
    name = settings.get("tokenizer_class") if isinstance(settings, dict) and "auto_map" not in settings else None
    return name.removesuffix("Fast") if isinstance(name, str) else None


def _file(name_or_path: str, name: str, revision: str | None) -> str | None:
    """Path of a file of a folder, or of a hub name without asking the hub; None where there is none."""
    from transformers.utils import cached_file

    if Path(name_or_path).is_dir():
        path = Path(name_or_path) / name
        return str(path) if path.is_file() else None
    return cached_file(
        name_or_path,
        name,
        revision=revision,
        local_files_only=True,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )


def _own_words(tokenizer: Any) -> str:
    ids = sorted(tokenizer.get_vocab().values())
    words = (tokenizer.decode([index]).strip() for index in ids[:: max(1, len(ids) // NUM_WORDS)])
    return " ".join(word for word in words if word)


def _ids(tokenizer: Any, text: str) -> list[int]:
    if hasattr(tokenizer, "encode_batch"):  # of the package `tokenizers`
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
