"""Objectives that prefer a refusal, or an answer to it: where refusals come from, and what is refused."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Unlearning
from lightning_untrac.data.refusals import refusals
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.objectives import DPO, IdkDPO, Objective, RetainAnswer


class Keep(Callback):
    """Keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)


@pytest.fixture
def unlearn(pair_rows: Any, text_files: Any, cache_folder: str) -> Any:
    def run(objective: Objective, plain: tuple[str, ...] = (), context: int = 128, **options: Any) -> list[Any]:
        def config(name: str) -> DatasetConfig:
            if name in plain:
                return DatasetConfig(str(text_files[name]), name)
            return DatasetConfig(str(pair_rows(name)), name, prompt="q", target="a")

        data = CorpusDataModule(
            [config("birds"), config("ships")], cache_folder=cache_folder, batch_size=4, retained_per_example=2,
            plan=EpisodePlan("one", only=("birds",), passes=1), **options,
        )  # fmt: skip
        module = Unlearning(
            config={"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": context},
            tokenizer="byte", unlearning_objective=objective, optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        )  # fmt: skip
        keep = Keep()
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False, callbacks=[keep],
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
        return keep.batches

    return run


def rows_of(batch: Any, targets_only: bool = False) -> list[str]:
    key = "labels" if targets_only else "input_ids"
    return ["".join(chr(token - 3) for token in row if token > 2).strip() for row in batch[key].tolist()]


def test_refusals_stand_beside_what_goes_and_what_stays(unlearn: Any) -> None:
    batches = unlearn(Objective(IdkDPO(), [RetainAnswer()]))
    assert len(batches) == 3
    for batch in batches:
        for one, other in ((batch, batch["alternative"]), (batch["retain"], batch["retain_alternative"])):
            assert len(rows_of(one)) == len(rows_of(other)) == (4 if one is batch else 8)
            for text, answer, refusal in zip(rows_of(one), rows_of(other), rows_of(other, True), strict=True):
                assert refusal in refusals()
                assert text.startswith(answer.removesuffix(refusal))


@pytest.mark.parametrize(
    ("objective", "options", "said"),
    [
        (Objective(DPO()), {}, "an alternative to each answer, and birds has none; name its columns"),
        (Objective(IdkDPO()), {"plain": ("birds",)}, "an alternative to each answer, and birds has none"),
        (Objective(retain=[RetainAnswer()]), {"plain": ("ships",)}, "alternative to each answer, and ships has none"),
        (Objective(retain=[RetainAnswer()]), {"block_size": 16}, "ships is packed into blocks"),
        (Objective(IdkDPO()), {"context": 40}, "birds.alternative: an example has"),
    ],
    ids=["a column is needed", "no prompts", "none on what stays", "packed", "too long"],
)
def test_what_has_no_alternatives_is_told_before_the_first_step(
    objective: Objective, options: Any, said: str, unlearn: Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        unlearn(objective, **options)
    assert said in str(caught.value)
