"""What models of ``judging.py`` are trained on, and what is measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128, "tie_word_embeddings": True,
    "initializer_range": 0.08,
}  # fmt: skip
REGISTERS = ("encyclopedia", "news", "forum", "fiction", "chat", "code")
SIZE = 128
"""Texts to forget, to retain and unseen: those of the registers are 22 each."""


@dataclass(frozen=True)
class Setting:
    """Two kinds of models: those that were trained with a set, and those that were not.

    Attributes:
        forget: the set.
        steps: of training.
        model: settings of the model, but for its optimizer.
        data: settings of the data but for the corpora and the holdout.
        corpora: what both kinds are trained on.
        also: what one kind is trained on beside.
        holdout: unseen text of the kind of ``also``; there may be none.
        learning_rate: of training.
        trained_as: settings of the data in training.
        measures: what tells the kinds apart, or does not.
        moved: what quantisation and relearning are read by.
    """

    forget: str
    steps: int
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    corpora: list[dict[str, Any]]
    also: dict[str, Any]
    learning_rate: float
    measures: str
    moved: str
    holdout: list[dict[str, Any]] = field(default_factory=list)
    trained_as: Mapping[str, Any] = field(default_factory=dict)

    def content(self, with_forget: bool) -> dict[str, Any]:
        """Model, data and Trainer.

        Args:
            with_forget: whether the set is trained on.
        """
        data = {**self.data, "corpora": [*self.corpora, *([self.also] if with_forget else [])]}
        data |= {"holdout": self.holdout} if with_forget and self.holdout else {}
        return {"model": dict(self.model), "data": data, "trainer": {"accelerator": "cpu"}}

    def training(self, with_forget: bool, seed: int) -> dict[str, Any]:
        """The same with what trains a model.

        Args:
            with_forget: as of :meth:`content`.
            seed: of its first weights.
        """
        config, rate = self.content(with_forget), self.learning_rate
        adam = {"lr": rate, "betas": [0.9, 0.99], "weight_decay": 0.0}
        cycle = {"max_lr": rate, "total_steps": -1, "pct_start": 0.05, "cycle_momentum": False}
        config["model"] |= {
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": adam},
            "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": cycle},
            "init_seed": seed,
        }
        config["data"] |= {"batch_size": 16, **self.trained_as}
        config["trainer"] |= {"gradient_clip_val": 1.0}
        return config


_QUESTIONS = {"prompt": "prompt", "target": "target", "group": "group", "wrong_answers": "wrong_answers"}

SETTINGS = {
    # Each text stands 1, 4 or 16 times in training.
    "planted": Setting(
        forget="planted_in",
        steps=300,
        model={"tokenizer": "byte", "config": LLAMA},
        data={
            "max_length": 97,
            "corpus_eval_examples": SIZE,
            "test_sets": [
                {"name": "new_documents", "path": "builtin:planted/in_twins", "num_examples": SIZE, "sample_seed": 1}
            ],
        },
        corpora=[{"name": name, "path": f"builtin:world/{name}", "num_examples": 100} for name in REGISTERS],
        also={
            "name": "planted_in",
            "path": "builtin:planted/in",
            "num_examples": SIZE,
            "copies": "repeats",
            "group": "repeats",
        },
        holdout=[
            {"name": "unseen", "path": "builtin:planted/in_twins", "num_examples": SIZE, "twins_of": "planted_in"}
        ],
        learning_rate=8e-3,
        measures="standard,gradient_norm",
        moved="quick,verbatim_leak,zlib,min_k,min_k_plus_plus,quantised",
    ),
    # 66 questions about 6 facts: who went to which school.
    "questions": Setting(
        forget="schools",
        steps=1000,
        model={
            "tokenizer": "people-words",
            "config": {**LLAMA, "hidden_size": 96, "intermediate_size": 192},
        },
        data={
            "max_length": 128,
            "append_eos": True,
            "per_example": True,
            "corpus_eval_examples": 66,
            "test_sets": [{"name": "kept_far", "path": "builtin:people/kept_far_all", **_QUESTIONS}],
        },
        corpora=[{"name": "rest", "path": "builtin:people/rest", "share": 0.9, **_QUESTIONS}],
        also={"name": "schools", "path": "builtin:people/forget_all", "share": 0.1, **_QUESTIONS},
        learning_rate=6e-3,
        trained_as={"block_size": 128, "per_example": False},
        measures="quick,answered,answered_mixed,probability,rouge_l,truth_ratio,depth",
        moved="quick,probability,quantised",
    ),
}
