"""Texts that the tokenizer does not know are said."""

import json

from lightning_untrac import CorpusDataModule, DatasetConfig
from lightning_untrac.modules import Pretraining

BERT = {"model_type": "bert", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "max_position_embeddings": 128}  # fmt: skip


def test_words_of_ones_own_are_unknown_to_a_tokenizer_of_built_in_ones(tmp_path, cache_folder):
    (tmp_path / "own.jsonl").write_text(json.dumps({"text": "quarks gluons muons", "label": "a"}))
    corpora = [
        DatasetConfig(str(tmp_path / "own.jsonl"), "own"),
        DatasetConfig("builtin:topics/rest", "rest", num_examples=9),
    ]
    labels = ["a", "harbour", "kitchen", "garden", "weather"]
    for tokenizer, said in (("words", ["own: 60 % of the tokens are unknown"]), ("byte", [])):
        data = CorpusDataModule(corpora, cache_folder=cache_folder)
        data.prepare(Pretraining(config=BERT, tokenizer=tokenizer, labels=labels))
        assert [note.partition(" to the tokenizer")[0] for note in data.notes()] == said
