"""Find a tokenizer, and say in which terms its documents begin and end."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_untrac.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BYTE = "byte"
"""Name of the tokenizer that needs no files: UTF-8 bytes (``transformers.ByT5Tokenizer``, 384 ids)."""


def load_tokenizer(
    name_or_path: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """Load a tokenizer by name or folder; ``byte`` is built in.

    Raises:
        ConfigurationError: if there is no such tokenizer.
    """
    from transformers import AutoTokenizer, ByT5Tokenizer

    if name_or_path == BYTE:
        return ByT5Tokenizer()
    if problem := missing_folder(name_or_path):
        raise ConfigurationError([f"tokenizer: {problem}"])
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    except (
        Exception
    ) as error:  # transformers, tokenizers and the hub raise all sorts for a file that isn't there or is broken
        cause = (str(error).splitlines() or [""])[0]
        raise ConfigurationError(
            [f"tokenizer: can't load {name_or_path!r} ({cause}); give a hub name, a folder with its files, or 'byte'"]
        ) from error
    if not tokenizer("a b", add_special_tokens=False)["input_ids"]:
        # transformers makes an empty tokenizer of a folder that has a model and no tokenizer.
        raise ConfigurationError(
            [f"tokenizer: there are no tokenizer files in {name_or_path!r}; give model.tokenizer (a name or a folder)"]
        )
    return tokenizer


def missing_folder(name_or_path: str) -> str | None:
    """What is wrong with a path that can be no hub name and is not there; None for anything else.

    Example:
        >>> missing_folder("./no/such/model")
        'there is no folder ./no/such/model'
        >>> missing_folder("facebook/opt-125m") is None
        True
    """
    is_path = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1
    return f"there is no folder {name_or_path}" if is_path and not Path(name_or_path).expanduser().is_dir() else None


def document_start(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token before a document's first token: BOS, or EOS where there is no BOS (as ByT5).

    A causal model reads a test example after the same token that stands before each document in its packed training
    blocks, so that the example's first token is a target in a context that the model knows.

    Raises:
        ConfigurationError: if the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ConfigurationError(["tokenizer: has neither a BOS nor an EOS token; a document needs one to begin with"])


def padding_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills short rows up; any would do, because it is masked and never a target."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return int(tokenizer.eos_token_id or 0)


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """A digest that changes when the tokenizer encodes differently; part of the cache's key."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    identity = [type(tokenizer).__name__, vocabulary, tokenizer.bos_token_id, tokenizer.eos_token_id]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
