"""A random part of a forget set, and what steps on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest

from lightning_untrac import EpisodePlan, Unlearning
from lightning_untrac.data.coreset import coreset


def test_a_part_is_drawn_by_its_seed_and_copies_stay_together(
    make_data: Callable[..., Any], model_folders: Callable[..., str]
) -> None:
    data = make_data()
    data.prepare(Unlearning(model_folders()))
    birds = data.tokenized["birds"]
    assert coreset(birds, None, 0) is None
    part = coreset(birds, 0.25, 0)
    assert part is not None
    np.testing.assert_array_equal(part, coreset(birds, 0.25, 0))
    assert len({tuple(coreset(birds, 0.25, seed)) for seed in range(10)}) > 1  # type: ignore[arg-type]
    rest = {birds.content_hash(row) for row in range(len(birds)) if row not in part}
    assert not {birds.content_hash(int(row)) for row in part} & rest
    assert len(coreset(birds, 0.001, 0)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("block_size", [None, 16])
def test_steps_take_only_the_part_and_readings_all(
    make_data: Callable[..., Any], model_folders: Callable[..., str], block_size: int | None
) -> None:
    seen: list[int] = []

    class Rows(L.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            seen.extend(batch["example_index"].tolist())

    data = make_data(batch_size=2, block_size=block_size)
    data.plan = EpisodePlan("one", (0,), passes=2.0, only=("birds",), share=0.4)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, reload_dataloaders_every_n_epochs=1, callbacks=[Rows()],
    )  # fmt: skip
    trainer.fit(Unlearning(model_folders()), datamodule=data)
    examples = data.training_examples("birds")
    part = coreset(examples, 0.4, 0)
    assert part is not None
    assert 0 < len(part) < len(examples)
    assert sorted(seen) == sorted([*part, *part])  # two passes over the part
    read = data.evaluation_data().parts[data.evaluation_names.index("birds")]
    assert len(read) == len(examples)
    assert "birds" not in data.plan.retained("birds", data.corpus_names)
