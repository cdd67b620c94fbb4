"""A saved tokenizer is read back as it was used, whatever model lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from lightning_untrac.data.saved_tokenizers import TEXT, encodes_alike, reading_problems
from lightning_untrac.data.tokenizers import load_tokenizer

LINES = ["heron reed shore", "wren nest egg wing", "mast keel anchor", "rope tide deck sail cargo"]


def trained(normalizer: Any = None) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer trained on some words, with a normaliser of its own."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<end>", eos_token="<end>")


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "mistral", "gpt2"])
@pytest.mark.parametrize("name", ["lower", "byte"])
def test_it_encodes_as_it_was_saved(tmp_path: Path, model_type: str, name: str) -> None:
    used = load_tokenizer("byte") if name == "byte" else trained(normalizers.Lowercase())
    AutoConfig.for_model(model_type).save_pretrained(tmp_path)
    used.save_pretrained(tmp_path)
    read = load_tokenizer(str(tmp_path))
    assert read(TEXT, add_special_tokens=False)["input_ids"] == used(TEXT, add_special_tokens=False)["input_ids"]
    assert (read.bos_token_id, read.eos_token_id) == (used.bos_token_id, used.eos_token_id)
    if name == "lower":
        by_file = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        assert read(TEXT, add_special_tokens=False)["input_ids"] == by_file.encode(TEXT, add_special_tokens=False).ids


def test_other_rules_are_told_apart() -> None:
    plain = trained()
    assert encodes_alike(plain, trained())
    assert not encodes_alike(plain, trained(normalizers.Lowercase()))
    assert not encodes_alike(plain, trained(normalizers.NFC()))
    assert not encodes_alike(plain, load_tokenizer("byte"))


def test_a_folder_that_transformers_reads_otherwise_is_told(tmp_path: Path) -> None:
    used = trained(normalizers.Lowercase())
    used.save_pretrained(tmp_path)
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    assert reading_problems(used, tmp_path) == []
    AutoConfig.for_model("qwen2").save_pretrained(tmp_path)
    assert not encodes_alike(AutoTokenizer.from_pretrained(tmp_path), used)
    (found,) = reading_problems(used, tmp_path)
    assert "PreTrainedTokenizerFast.from_pretrained" in found or "TokenizersBackend.from_pretrained" in found
