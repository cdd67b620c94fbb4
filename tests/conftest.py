"""Fixtures that all tests share: tiny models on disk, tiny corpora, and a trace in one call."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported: many threads on tiny tensors only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_SILENT"] = "true"
os.environ.pop("WANDB_API_KEY", None)

RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
"""By these variables Lightning tells the processes that it starts who they are."""

BEFORE = {name: os.environ.get(name) for name in RANKS}


@pytest.fixture(autouse=True)
def no_rank_left_behind() -> Iterator[None]:
    """After a fit on one device with a strategy for several, a command that a test starts would wait for others, and
    what is fitted later in this process would take itself for one of them."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name, value in BEFORE.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


WORDS = {
    "birds": ["heron", "wren", "gull", "plover", "nest", "wing", "egg", "reed", "shore", "flight"],
    "ships": ["mast", "keel", "anchor", "sail", "harbour", "rope", "tide", "captain", "deck", "cargo"],
    "bread": ["flour", "oven", "yeast", "crust", "dough", "salt", "loaf", "baker", "knead", "warm"],
    "stars": ["comet", "orbit", "moon", "dust", "ring", "night", "telescope", "red", "dwarf", "sky"],
}


def sentences(topic: str, count: int, seed: int) -> list[str]:
    """Short made-up sentences about a topic."""
    rng = random.Random(f"{topic}/{seed}")
    return [" ".join(rng.choices(WORDS[topic], k=rng.randint(3, 6))) for _ in range(count)]


@pytest.fixture(scope="session")
def text_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """JSONL files by name: three corpora of 12, 9 and 10 examples, two test sets of 5."""
    folder = tmp_path_factory.mktemp("texts")
    files = {}
    for name, topic, count, seed in (
        ("birds", "birds", 12, 0),
        ("ships", "ships", 9, 0),
        ("bread", "bread", 10, 0),
        ("ask-birds", "birds", 5, 1),
        ("ask-ships", "ships", 5, 1),
    ):
        files[name] = folder / f"{name}.jsonl"
        rows = [{"text": text} for text in sentences(topic, count, seed)]
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


@pytest.fixture(scope="session")
def pair_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Prompt and target pairs, for seq2seq models and for losses on a part of the text."""
    folder = tmp_path_factory.mktemp("pairs")
    files = {}
    for name, topic, count in (("birds", "birds", 8), ("ships", "ships", 7), ("ask-birds", "birds", 4)):
        files[name] = folder / f"{name}.jsonl"
        pairs = zip(sentences(topic, count, 2), sentences(topic, count, 3), strict=True)
        files[name].write_text("".join(json.dumps({"prompt": p, "target": t}) + "\n" for p, t in pairs))
    return files


TINY = {
    "llama": {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "opt": {
        "model_type": "opt",
        "hidden_size": 16,
        "ffn_dim": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": 16,
    },
    "t5": {"model_type": "t5", "d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 2, "num_heads": 2},
}


@pytest.fixture(scope="session")
def tiny_configs() -> dict[str, dict[str, Any]]:
    """Model configurations of four architectures, some thousand parameters each."""
    return TINY


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Path of a saved tiny model of an architecture and dtype, made once."""
    made: dict[tuple[str, str], str] = {}

    def folder(architecture: str = "llama", dtype: str = "float32") -> str:
        if (architecture, dtype) not in made:
            from lightning_untrac import LanguageModule

            path = tmp_path_factory.mktemp("models") / f"{architecture}-{dtype}"
            module = LanguageModule(config=TINY[architecture], tokenizer="byte", dtype=dtype, init_seed=3)
            module.configure_model()
            assert module.model is not None
            module.model.save_pretrained(path)
            module.tokenizer.save_pretrained(path)
            made[architecture, dtype] = str(path)
        return made[architecture, dtype]

    return folder


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where token ids are cached; shared, because the same texts are tokenised by many tests."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _datasets_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what ``datasets`` prepares out of the home folder."""
    import datasets

    folder = tmp_path_factory.getbasetemp() / "hf-datasets"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)


@pytest.fixture
def make_data(text_files: dict[str, Path], cache_folder: str) -> Callable[..., Any]:
    """A DataModule over some of the tiny corpora; a name may stand for another's file as ``alias=name``."""
    from lightning_untrac import CorpusDataModule, DatasetConfig

    def configs(names: tuple[str, ...]) -> list[DatasetConfig]:
        pairs = [name.split("=") if "=" in name else (name, name) for name in names]
        return [DatasetConfig(path=str(text_files[file]), name=name) for name, file in pairs]

    def make(
        corpora: tuple[str, ...] = ("birds", "ships", "bread"),
        test_sets: tuple[str, ...] = ("ask-birds", "ask-ships"),
        **options: Any,
    ) -> CorpusDataModule:
        options.setdefault("cache_folder", cache_folder)
        return CorpusDataModule(configs(corpora), configs(test_sets), **options)

    return make


@pytest.fixture
def trace(make_data: Callable[..., Any], model_folders: Callable[..., str]) -> Callable[..., Any]:
    """Trace in memory and return ``({(corpus, test set): influence}, rows, module)``."""
    import lightning.pytorch as L
    import torch

    from lightning_untrac import EpisodePlan, InfluenceLogger, PreUnlearningWeights, ReadingSchedule, Unlearning

    def run(
        kind: str = "each_corpus",
        *,
        data: Any = None,
        module: Any = None,
        architecture: str = "llama",
        dtype: str = "float32",
        optimizer: Any = None,
        steps: int | None = 3,
        seeds: tuple[int, ...] = (0,),
        readings: Any = 1,
        callbacks: tuple[Any, ...] = (),
        module_options: dict[str, Any] | None = None,
        folder: Path | None = None,
        **trainer_options: Any,
    ) -> Any:
        data = data or make_data(batch_size=4)
        data.plan = EpisodePlan(kind, seeds, steps=steps)  # type: ignore[arg-type]
        module = module or Unlearning(
            model_folders(architecture, dtype),
            dtype=dtype,
            optimizer=optimizer or (lambda p: torch.optim.Adam(p, lr=1e-3)),
            **(module_options or {}),
        )
        data.prepare(module)
        method = {"each_corpus": "untrac", "each_test_set": "untrac_inv"}.get(kind, kind)
        influence = InfluenceLogger(folder, method)
        options = {
            "max_epochs": len(data.plan.episodes(data.corpus_names, data.test_set_names)),
            "reload_dataloaders_every_n_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **trainer_options,
        }
        trainer = L.Trainer(
            callbacks=[PreUnlearningWeights(), *callbacks, ReadingSchedule(readings), influence], **options
        )
        trainer.fit(module, datamodule=data)
        final = {(row.corpus, row.test_set): row.influence for row in influence.rows if row.final}
        return final, influence.rows, module

    return run
