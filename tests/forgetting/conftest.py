"""A tiny model that knows some texts by heart, better the more often it has read them, and texts that it never saw."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import little_people
import pytest
import torch
import yaml
from commands import Ran, run_untrac

LENGTH = 20
READ = (1, 1, 2, 2, 4, 4, 12, 12)
"""How often each text stands in a pass of training."""


class Memorised(NamedTuple):
    """What was trained, and on what.

    Attributes:
        model: folder.
        secrets: a file of the texts that were trained on.
        unseen: one of texts alike that were not.
        others: one of other texts, which are to stay.
    """

    model: str
    secrets: Path
    unseen: Path
    others: Path


def strings(letters: str, count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(letters, k=LENGTH)) for _ in range(count)]


def encoded(tokenizer: Any, text: str) -> list[int]:
    """A text as the data layer encodes it: the byte tokenizer has no BOS, and documents begin with EOS there."""
    return [tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]


@pytest.fixture(scope="session")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> Memorised:
    """Trained in seconds, by plain torch."""
    from lightning_untrac import LanguageModule

    folder = tmp_path_factory.mktemp("memorised")
    made = {
        "secrets": strings("abcdef", len(READ), 1),
        "unseen": strings("abcdef", 12, 2),
        "others": strings("uvwxyz", 10, 3),
    }
    files = {name: folder / f"{name}.jsonl" for name in made}
    for name, texts in made.items():
        files[name].write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    config = {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": True,
        "initializer_range": 0.1,
    }  # fmt: skip
    module = LanguageModule(config=config, tokenizer="byte", init_seed=1)
    module.configure_model()
    model, tokenizer = module.model, module.tokenizer
    assert model is not None
    texts = [text for text, times in zip(made["secrets"], READ, strict=True) for _ in range(times)] + made["others"]
    ids = torch.tensor([encoded(tokenizer, text) for text in texts])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return Memorised(str(folder / "model"), files["secrets"], files["unseen"], files["others"])


@pytest.fixture
def memorised_config(tmp_path: Path, memorised: Memorised, cache_folder: str) -> Callable[..., Path]:
    """A configuration of ``untrac unlearn``; keyword arguments replace parts of its data."""

    def write(optimizer: Any = None, model: Any = None, **data: Any) -> Path:
        network = {"name_or_path": str(model or memorised.model)}
        entry = lambda name: [{"name": name, "path": str(getattr(memorised, name))}]  # noqa: E731
        content = {
            "model": network if optimizer is None else {**network, "optimizer": optimizer},
            "data": {
                "corpora": entry("others"),
                "forget": entry("secrets"),
                "holdout": entry("unseen"),
                "cache_folder": cache_folder,
                **data,
            },
            "trainer": {"accelerator": "cpu"},
        }
        path = tmp_path / f"config-{len(list(tmp_path.glob('config-*')))}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> little_people.LittlePeople:
    return little_people.make(tmp_path_factory.mktemp("little_people"))


@pytest.fixture(scope="session")
def untrac() -> Callable[..., Ran]:
    """Run a command in this process."""
    return run_untrac
