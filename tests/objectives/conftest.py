"""A run of unlearning that is cut in the middle and goes on, beside the same run as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Unlearning


class Save(Callback):
    """Writes a checkpoint after some batches."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path, self.batches = path, batches

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 1 == self.batches:
            trainer.save_checkpoint(self.path)


@pytest.fixture
def make_pairs(pair_rows: Callable[[str], Path], cache_folder: str) -> Callable[..., Any]:
    """A DataModule over two corpora of questions, answers and other answers, of unlike lengths."""

    def make(**options: Any) -> CorpusDataModule:
        def config(name: str) -> DatasetConfig:
            return DatasetConfig(str(pair_rows(name)), name, prompt="q", target="a", alternative="no")

        return CorpusDataModule(
            [config("birds"), config("ships")], [config("ask-birds")], cache_folder=cache_folder, **options
        )

    return make


@pytest.fixture
def pair_rows(text_files: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """The texts of a name cut in two, the second half as it is and turned round."""

    def rows(name: str) -> Path:
        path = tmp_path / f"{name}-pairs.jsonl"
        texts = [json.loads(line)["text"].split() for line in text_files[name].read_text().splitlines()]
        made = [{"q": " ".join(t[:2]), "a": " ".join(t[2:]), "no": " ".join(t[:0:-1])} for t in texts]
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
        return path

    return rows


@pytest.fixture
def whole_and_resumed(make_pairs: Any, model_folders: Any, tmp_path: Path) -> Callable[..., Any]:
    """The weights before, and after six steps: of one run, and of one that goes on from the checkpoint of step 4."""

    def run(make: Callable[[], Any], optimizer: Any, accumulation: int = 1) -> tuple[torch.Tensor, ...]:
        before: list[torch.Tensor] = []

        def flat(module: Any) -> torch.Tensor:
            return torch.cat([p.detach().flatten() for p in module.model.parameters() if p.requires_grad]).clone()

        def fit(callbacks: Sequence[Callback] = (), **options: Any) -> torch.Tensor:
            data = make_pairs(batch_size=2)
            data.plan = EpisodePlan("one", only=("birds",), steps=6)
            module = Unlearning(model_folders(), unlearning_objective=make(), optimizer=optimizer)
            module.configure_model()
            before.append(flat(module))
            trainer = L.Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False,
                accumulate_grad_batches=accumulation, callbacks=list(callbacks),
            )  # fmt: skip
            trainer.fit(module, datamodule=data, **options)
            assert trainer.global_step == 6
            return flat(module)

        whole = fit([Save(tmp_path / "middle.ckpt", 4 * accumulation)])
        resumed = fit(ckpt_path=tmp_path / "middle.ckpt", weights_only=True)
        return before[0], whole, resumed

    return run
