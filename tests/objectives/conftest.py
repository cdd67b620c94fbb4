"""A run of unlearning that is cut in the middle and goes on, beside the same run as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import every_objective
import pytest
import torch
from lightning.pytorch.callbacks import Callback


@pytest.fixture
def pairs_folder(text_files: dict[str, Path], tmp_path: Path) -> Path:
    """The texts of each name cut in two, the second half as it is and turned round."""
    every_objective.write_pairs(text_files, tmp_path)
    return tmp_path


@pytest.fixture
def make_pairs(pairs_folder: Path, cache_folder: str) -> Callable[..., Any]:
    """A DataModule over two corpora of questions, answers and other answers, of unlike lengths."""
    return partial(every_objective.pairs, pairs_folder, cache_folder)


@pytest.fixture
def pair_rows(pairs_folder: Path) -> Callable[[str], Path]:
    """The file of a name."""
    return lambda name: pairs_folder / f"{name}-pairs.jsonl"


@pytest.fixture
def whole_and_resumed(make_pairs: Any, model_folders: Any, tmp_path: Path) -> Callable[..., Any]:
    """The weights before, and after six steps: of one run, and of one that goes on from the checkpoint of step 4."""

    def run(make: Callable[[], Any], optimizer: Any, accumulation: int = 1) -> tuple[torch.Tensor, ...]:
        before: list[torch.Tensor] = []

        def flat(module: Any) -> torch.Tensor:
            return torch.cat([p.detach().flatten() for p in module.model.parameters() if p.requires_grad]).clone()

        def fit(callbacks: Sequence[Callback] = (), **options: Any) -> torch.Tensor:
            class Begin(Callback):
                def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
                    before.append(flat(pl_module))

            module, trainer = every_objective.fit(
                make_pairs(batch_size=2), model_folders(), make(), optimizer=optimizer, plan={"steps": 6},
                accumulation=accumulation, callbacks=[*callbacks, Begin()], **options,
            )  # fmt: skip
            assert trainer.global_step == 6
            return flat(module)

        whole = fit([every_objective.Save(tmp_path / "middle.ckpt", 4 * accumulation)])
        resumed = fit(ckpt_path=tmp_path / "middle.ckpt", weights_only=True)
        return before[0], whole, resumed

    return run
