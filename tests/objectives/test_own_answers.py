"""AltPO: other answers that the model itself gives, the same again and in a run that goes on."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Unlearning
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives import AltPO, Objective


class Keep(Callback):
    """Keeps the first batch of a pass, and perhaps a checkpoint after it."""

    def __init__(self, path: Any = None) -> None:
        self.path, self.batches = path, []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)
        if self.path is not None and batch_idx == 1:
            trainer.save_checkpoint(self.path)


@pytest.fixture
def unlearn(model_folders: Any, tiny_configs: Any, pair_rows: Any, text_files: Any, cache_folder: str) -> Any:
    def run(
        keep: Keep, architecture: str = "gpt2", plain: bool = False, seed: int = 0, uneven: bool = False, **fit: Any
    ) -> Any:
        birds = DatasetConfig(str(pair_rows("birds")), "birds", prompt="q", target="a")
        if plain:
            birds = DatasetConfig(str(text_files["birds"]), "birds")
        data = CorpusDataModule(
            [birds], cache_folder=cache_folder, batch_size=3,
            plan=EpisodePlan("one", (seed,), only=("birds",), passes=1),
        )  # fmt: skip
        model = {"name_or_path": model_folders(architecture)}
        if uneven:  # a decoder that is deeper than its encoder
            model = {"config": tiny_configs[architecture] | {"num_decoder_layers": 3}, "tokenizer": "byte"}
        module = Unlearning(
            **model, unlearning_objective=Objective(AltPO()),
            optimizer=lambda p: torch.optim.Adam(p, lr=1e-2),
        )  # fmt: skip
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False, callbacks=[keep],
        )  # fmt: skip
        trainer.fit(module, datamodule=data, **fit)
        assert module.model is not None
        return data.tokenized["birds"], torch.cat([p.detach().flatten() for p in module.model.parameters()])

    return run


@pytest.mark.parametrize("architecture", ["gpt2", "t5"])
def test_each_prompt_has_another_answer_of_the_models_own(architecture: str, unlearn: Any) -> None:
    dataset, _ = unlearn(Keep(), architecture)
    again, _ = unlearn(Keep(), architecture)
    other, _ = unlearn(Keep(), architecture, seed=1)
    assert len(dataset.alternative) == len(dataset) == 12
    differ = 0
    for mine, alternative, same, new in zip(
        dataset, dataset.alternative, again.alternative, other.alternative, strict=False
    ):
        assert np.array_equal(alternative["input_ids"], same["input_ids"])
        assert np.array_equal(alternative["labels"], same["labels"])
        differ += not np.array_equal(alternative["labels"], new["labels"])
        prompt = mine["input_ids"] if architecture == "t5" else mine["input_ids"][mine["labels"] == -100]
        assert np.array_equal(alternative["input_ids"][: len(prompt)], prompt)
        answers = [row["labels"][row["labels"] != -100] for row in (mine, alternative)]
        assert 0 < len(answers[1]) <= math.ceil(1.5 * len(answers[0]))
        assert (answers[0][-1] == 1) == (answers[1][-1] == 1)  # EOS
        assert not np.array_equal(*answers)
    assert differ > 6


def test_a_decoder_may_be_deeper_than_its_encoder(unlearn: Any) -> None:
    dataset, _ = unlearn(Keep(), "t5", uneven=True)
    assert len(dataset.alternative) == 12


def test_a_run_that_goes_on_has_the_answers_of_the_model_before_unlearning(unlearn: Any, tmp_path: Any) -> None:
    path = tmp_path / "middle.ckpt"
    whole = Keep(path)
    before, expected = unlearn(whole)
    rest = Keep()
    after, found = unlearn(rest, ckpt_path=path, weights_only=True)
    assert len(rest.batches) == 2
    assert all(np.array_equal(a, b) for a, b in zip(before.alternative.answers, after.alternative.answers, strict=True))
    assert torch.equal(expected, found)


def test_texts_without_prompts_are_told_before_the_first_step(unlearn: Any) -> None:
    with pytest.raises(ConfigurationError, match="an alternative to each answer, and birds has none"):
        unlearn(Keep(), plain=True)
