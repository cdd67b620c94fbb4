from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning_untrac.callbacks import WeightsMustMove

from lightning_untrac import EpisodePlan, Pretraining
from lightning_untrac.errors import UnlearningError


def pretrain(make_data: Any, config: Any, lr: float) -> None:
    data = make_data(batch_size=4)
    data.plan = EpisodePlan("mixture", steps=3)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[WeightsMustMove()],
    )
    module = Pretraining(config=config, tokenizer="byte", optimizer=lambda p: torch.optim.SGD(p, lr=lr))
    trainer.fit(module, datamodule=data)


def test_training_that_moves_is_fine(make_data: Any, tiny_configs: Any) -> None:
    pretrain(make_data, tiny_configs["llama"], 0.1)


@pytest.mark.parametrize(("lr", "message"), [(0.0, "no weight moved in 3 steps"), (1e30, "training has diverged")])
def test_training_that_leads_nowhere_is_an_error(make_data: Any, tiny_configs: Any, lr: float, message: str) -> None:
    with pytest.raises(UnlearningError, match=message):
        pretrain(make_data, tiny_configs["llama"], lr)
