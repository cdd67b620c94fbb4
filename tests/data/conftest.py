"""What the data tests share: caches under a temporary folder, tokenizers without downloads, a model's facts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PAPER_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def caches(tmp_path_factory, monkeypatch):
    """Nothing is written outside the tests' own folder."""
    import datasets

    folder = tmp_path_factory.getbasetemp() / "datasets-cache"
    monkeypatch.setenv("HF_HOME", str(folder))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


@pytest.fixture(scope="session")
def byte_tokenizer():
    from lightning_untrac.data.tokenizers import load_tokenizer

    return load_tokenizer("byte")


@pytest.fixture(scope="session")
def bpe_folder(tmp_path_factory):
    """A tiny BPE with BOS, EOS and padding, which merges across what stands before a word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(
        ["the baker baked bread before the butcher began?", "what is the number after"] * 20, trainer
    )
    folder = tmp_path_factory.mktemp("bpe")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bpe_tokenizer(bpe_folder):
    from lightning_untrac.data.tokenizers import load_tokenizer

    return load_tokenizer(str(bpe_folder))


@dataclass
class Facts:
    tokenizer: Any
    is_seq2seq: bool = False
    context_length: int | None = 4096
    vocabulary_size: int = 384


@pytest.fixture
def facts(byte_tokenizer):
    return Facts(byte_tokenizer)


@pytest.fixture
def make_facts(byte_tokenizer):
    return lambda **fields: Facts(**{"tokenizer": byte_tokenizer, **fields})


@pytest.fixture
def paper_data():
    if not PAPER_DATA.is_dir():
        pytest.skip(f"the paper's CSVs are not at {PAPER_DATA}")
    return PAPER_DATA
