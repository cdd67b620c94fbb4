"""Find a tokenizer, and say in which terms its documents begin and end."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.data.saved_tokenizers import as_its_files_say
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.faults import first_line
from lightning_untrac.hub import BYTE, PEOPLE_WORDS, WORDS, hub_problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = " Ein  Wort,\n\tÉté naïf İ 日本 \u200b 1,000.5 don't </s><s> "
"""Text by which two slow tokenizers with one vocabulary and other settings are told apart."""


def load_tokenizer(
    name_or_path: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """Load a tokenizer by name or folder; ``byte``, ``words`` and ``people-words`` are built in.

    Raises:
        ConfigurationError: if there is no such tokenizer.
    """
    from transformers import AutoTokenizer, ByT5Tokenizer

    if name_or_path == BYTE:
        return ByT5Tokenizer()
    if name_or_path == WORDS:
        return _words()
    if name_or_path == PEOPLE_WORDS:
        return _people_words()
    if problem := missing_folder(name_or_path):
        raise ConfigurationError([f"tokenizer: {problem}"])
    if problem := hub_problem("model", name_or_path, revision):
        raise ConfigurationError(
            [f"tokenizer: can't load {name_or_path!r} ({problem}); give a hub name, a folder with its files, or 'byte'"]
        )
    tokenizer, cause = None, ""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers, tokenizers and the hub raise all sorts for a file that isn't there
        cause = first_line(error)
    try:
        tokenizer = as_its_files_say(tokenizer, name_or_path, revision=revision)
    except Exception as error:  # or that is broken
        tokenizer, cause = None, cause or first_line(error)
    if tokenizer is None:
        raise ConfigurationError(
            [f"tokenizer: can't load {name_or_path!r} ({cause}); give a hub name, a folder with its files, or 'byte'"]
        )
    if not tokenizer("a b", add_special_tokens=False)["input_ids"]:
        # transformers makes an empty tokenizer of a folder that has a model and no tokenizer.
        raise ConfigurationError(
            [f"tokenizer: there are no tokenizer files in {name_or_path!r}; give model.tokenizer (a name or a folder)"]
        )
    return tokenizer


def _words() -> PreTrainedTokenizerBase:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from lightning_untrac.data.builtin.topics import topic_words

    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    vocabulary = {word: index for index, word in enumerate([*named.values(), *topic_words()])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=made, **named)


def _people_words() -> PreTrainedTokenizerBase:
    """Words with the space before them, and marks by themselves, so that decoding gives the very text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from lightning_untrac.data.builtin.people import people_texts
    from lightning_untrac.refusals import refusals

    cut = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    words = {word for text in (*people_texts(), *refusals()) for word, _ in cut.pre_tokenize_str(text)}
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    vocabulary = {word: index for index, word in enumerate([*named.values(), *sorted(words)])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = cut, decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **named)


def missing_folder(name_or_path: str) -> str | None:
    """What is wrong with a path that can be no hub name and is no folder of a model; None for anything else.

    Example:
        >>> missing_folder("./no/such/model")
        'there is no folder ./no/such/model'
        >>> missing_folder("facebook/opt-125m") is None
        True
    """
    path = Path(name_or_path).expanduser()
    files = [path] if path.is_file() else sorted(path.glob("*.gguf")) if not (path / "config.json").exists() else []
    if files and files[0].suffix == ".gguf":
        return f"{files[0]} is a GGUF file; make a folder of it: python -m lightning_untrac.gguf {files[0]} FOLDER"
    is_path = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1
    return f"there is no folder {name_or_path}" if is_path and not path.is_dir() else None


def document_start(tokenizer: PreTrainedTokenizerBase, wanted: str | None = None) -> int | None:
    """The token before a document's first token: BOS, or EOS where there is no BOS (as ByT5).

    A causal model reads a test example after the same token that stands before each document in its packed training
    blocks, so that the example's first token is a target in a context that the model knows.

    Args:
        tokenizer: any of transformers'.
        wanted: ``bos``, ``eos``, ``nothing`` or a token of the vocabulary; None for the first of BOS and EOS.

    Returns:
        Its id; None for ``nothing``.

    Raises:
        ConfigurationError: if the tokenizer doesn't have it.
    """
    if wanted == "nothing":
        return None
    named = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}
    for token in named.values() if wanted is None else [named.get(wanted)]:
        if token is not None:
            return int(token)
    if wanted is None:
        raise ConfigurationError(
            [
                "tokenizer: has neither a BOS nor an EOS token; a document needs one to begin with: set "
                "data.document_start to a token of its vocabulary, or to 'nothing'"
            ]
        )
    if wanted not in named and wanted in (vocabulary := tokenizer.get_vocab()):
        return int(vocabulary[wanted])
    raise ConfigurationError(
        [
            f"data.document_start: the tokenizer has no {wanted.upper() if wanted in named else repr(wanted)} token; "
            "give 'bos', 'eos', 'nothing' or a token of its vocabulary"
        ]
    )


def document_end(tokenizer: PreTrainedTokenizerBase, seq2seq: bool) -> int:
    """The token that ends a document, or an encoder-decoder's target.

    Raises:
        ConfigurationError: if the tokenizer has none.
    """
    if tokenizer.eos_token_id is not None:
        return int(tokenizer.eos_token_id)
    if seq2seq:
        wants = "an encoder-decoder's targets end in one: give the tokenizer an `eos_token`"
    else:
        wants = "data.append_eos asks for one: leave it out, or give the tokenizer an `eos_token`"
    raise ConfigurationError([f"tokenizer: has no EOS token, and {wants}"])


def padding_token(tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> int:
    """The token that fills short rows up; any that the model has would do, because it is masked and never a target.

    Args:
        tokenizer: any of transformers'. Its padding token may lie beyond the model's vocabulary, where it was added
            later and the model's embedding was not made larger.
        vocabulary_size: entries of the model's vocabulary.
    """
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None and 0 <= token < vocabulary_size:
            return int(token)
    return 0


def _uncut(backend: Any) -> Any:
    """The same tokenizer of ``tokenizers`` without lengths to cut and to pad to."""
    if backend.truncation is None and backend.padding is None:
        return backend
    copy = type(backend).from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """A digest that changes when the tokenizer encodes differently; part of the cache's key.

    How the last call cut and padded is left out: transformers keeps it in the tokenizer, and each call sets it anew.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    identity = [type(tokenizer).__name__, tokenizer.bos_token_id, tokenizer.eos_token_id]
    identity.append(getattr(tokenizer, "split_special_tokens", False))
    if backend is not None:
        identity.append(_uncut(backend).to_str())
    else:
        ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
        identity += [sorted(tokenizer.get_vocab().items()), ids]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
