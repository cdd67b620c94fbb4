"""Every shipped term, retain term, anchor and rectifier, and the fit that tries one."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import CorpusDataModule, DatasetConfig, EpisodePlan, Unlearning, objectives
from lightning_untrac.objectives import Anchor, ForgetTerm, Objective, Rectifier, RetainLoss, RetainTerm

KINDS = {"forget": ForgetTerm, "retain": RetainTerm, "anchor": Anchor, "rectify": Rectifier}
NEEDED: dict[str, dict[str, Any]] = {
    "DeepCUT": {"views": 1},  # dropout masks are of a rank and of a length
    "FisherAnchor": {"weight": 30.0, "fisher_examples": 4},
    "L2Anchor": {"weight": 0.3},
    "RetainBound": {"multiplier": 1.0},
    "SatImp": {"known": 1.0},  # of an untrained model, which knows no token, the defaults forget nothing
    "SimNPO": {"beta": 0.5},
}
"""Arguments of those that can't do without, or that pull too weakly to be seen."""


MOVED_BY_OTHERS = ("SCRUB",)
"""Forget terms whose gradient is zero before a retain term has moved the weights."""


class Save(Callback):
    """Writes a checkpoint after some batches."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path, self.batches = path, batches

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 1 == self.batches:
            trainer.save_checkpoint(self.path)


def shipped() -> list[tuple[str, str]]:
    """Room and name of each class."""
    found = []
    for room, kind in KINDS.items():
        package = importlib.import_module(f"{objectives.__name__}.{room}")
        for one in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{one.name}")
            found += [
                (room, name)
                for name, cls in vars(module).items()
                if isinstance(cls, type)
                and issubclass(cls, kind)
                and cls is not kind
                and cls.__module__ == module.__name__
            ]
    return found


def objective(room: str, name: str) -> Objective:
    """An objective with the class in its room, and else what it can't do without."""
    one = getattr(objectives, name)(**NEEDED.get(name, {}))
    if room == "forget":
        return Objective(forget=one, retain=[RetainLoss()] if name in MOVED_BY_OTHERS else [])
    if room == "retain":
        return Objective(retain=[one])
    return Objective(anchor=one) if room == "anchor" else Objective(retain=[RetainLoss()], rectify=one)


def pairs_examples(made: Objective) -> bool:
    """Whether it holds the examples of a step against each other, which must then lie in one micro-batch."""
    return any(term.pairs_examples for term in made.terms())


def write_pairs(text_files: dict[str, Path], folder: Path) -> None:
    """Write the texts of each name cut in two, the second half as it is and turned round."""
    for name, file in text_files.items():
        texts = [json.loads(line)["text"].split() for line in file.read_text().splitlines()]
        made = [{"q": " ".join(t[:2]), "a": " ".join(t[2:]), "no": " ".join(t[:0:-1])} for t in texts]
        (folder / f"{name}-pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))


def pairs(folder: Path, cache_folder: str, alternative: str | None = "no", **options: Any) -> CorpusDataModule:
    """A DataModule over two corpora of questions, answers and other answers, of unlike lengths."""

    def config(name: str) -> DatasetConfig:
        file = str(folder / f"{name}-pairs.jsonl")
        return DatasetConfig(file, name, prompt="q", target="a", alternative=alternative)

    return CorpusDataModule(
        [config("birds"), config("ships")], [config("ask-birds")], cache_folder=cache_folder, **options
    )


def fit(
    data: CorpusDataModule,
    model: str,
    made: Objective,
    *,
    optimizer: Callable[[Any], torch.optim.Optimizer],
    plan: dict[str, Any],
    accumulation: int = 1,
    callbacks: Sequence[Callback] = (),
    trainer_options: dict[str, Any] | None = None,
    **fit_options: Any,
) -> tuple[Unlearning, L.Trainer]:
    """Unlearn the birds with a saved model; the module and its Trainer afterwards."""
    data.plan = EpisodePlan("one", only=("birds",), **plan)
    dtype = "float64" if "float64" in model else "float32"
    module = Unlearning(model, dtype=dtype, unlearning_objective=made, optimizer=optimizer)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False, use_distributed_sampler=False,
        accumulate_grad_batches=accumulation, callbacks=list(callbacks), **(trainer_options or {}),
    )  # fmt: skip
    trainer.fit(module, datamodule=data, **fit_options)
    return module, trainer
