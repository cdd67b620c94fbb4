"""Write the cards of unlearned models, and write them again when more is known of these."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.data.tokenized import TokenizedDataset
from lightning_untrac.loggers import SafeWandbLogger
from lightning_untrac.redaction import hidden
from lightning_untrac.results.model_card import CARD, counts, model_card
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.stopping import Ending
from lightning_untrac.tables import atomic_write_bytes


def add_model_card(stage: Stage, trainer: L.Trainer, model: Path, method: str, seed: int, way: str, ended: Ending,
                   status: str) -> None:  # fmt: skip
    """Write the card of a model that was just saved, send it to W&B, and keep in ``run.json`` what it is made from.

    Args:
        stage: the verb's.
        trainer: that has fitted it.
        model: its folder.
        method: as in the tables.
        seed: of the data order.
        way: what a step minimised.
        ended: how the fit ended.
        status: of its last reading.
    """
    settings = stage.config["model"]["init_args"].get("unlearning_objective")
    trained = {
        "objective": way,
        "its settings": None if settings is None else f"`{json.dumps(settings)}`",
        "optimizer": _optimizer(trainer),
        "examples in a step": stage.identity.get("effective_batch_size"),
        "seed": seed,
    }
    end = {"steps": f"{ended.step} of {ended.steps}", "stopped by": ended.reason,
           "status": None if status == "ok" else status}  # fmt: skip
    start = str(stage.module.name_or_path or "a new model")
    is_local = Path(start).exists() or Path(start).is_absolute()
    of_hub = stage.module.name_or_path is not None and not is_local
    before = Path(start).name if is_local else start
    text = write_model_card(stage, model, method, seed, trained, end, before, of_hub)
    for logger in trainer.loggers:
        if isinstance(logger, SafeWandbLogger) and text is not None:
            logger.log_page("model_card", text)


def write_model_card(stage: Stage, model: Path, method: str, seed: int, trained: dict[str, Any], ended: dict[str, Any],
                     start: str, of_hub: bool = False) -> str | None:  # fmt: skip
    """Write the card of a model, and keep in ``run.json`` what it is made from.

    Args:
        stage: the verb's.
        model: its folder.
        method: as in the tables.
        seed: of the data order.
        trained: what was done, a word to what is said of it.
        ended: how it ended, the same.
        start: name of the model before.
        of_hub: whether that is a name of the hub.

    Returns:
        The card; None where the model is gone.
    """
    (forget_set,) = stage.data.active_plan.only
    dataset = stage.data.tokenized[forget_set]
    facts = {
        "model": model.name,
        "start": start,
        "hub": of_hub,
        "lora": stage.module.lora is not None,
        "method": method,
        "forget_set": forget_set,
        "seed": seed,
        "forgotten": {
            "name": forget_set,
            "size": counts(len(dataset), len(dataset.distinct_hashes())),
            "digest of its texts": digest(dataset),
        },
        "trained": trained,
        "ended": ended,
    }
    stage.folder.add_to_run(cards={stage.name: facts})
    return _write(stage.folder, stage.name)


@rank_zero_only
def refresh_model_cards(folder: RunFolder) -> None:
    """Write the cards of all unlearned models of a folder again, after ``judge`` has measured more of them.

    Args:
        folder: of the run.
    """
    for stage in folder.facts().get("cards", {}):
        _write(folder, stage)


def _write(folder: RunFolder, stage: str) -> str | None:
    run = folder.facts()
    facts = run["cards"][stage]
    model = folder.path / facts["model"]
    if Path(facts["model"]).name != facts["model"] or not model.is_dir():
        return None  # it was thrown away
    text = hidden(model_card(folder.path, run, facts))
    atomic_write_bytes(model / CARD, text.encode("utf-8", errors="replace"))
    return text


def digest(dataset: TokenizedDataset) -> str:
    """Equal for two datasets of the same texts, in whatever order and however often they are repeated."""
    return hashlib.sha256("\n".join(sorted(dataset.distinct_hashes().to_pylist())).encode()).hexdigest()[:16]


def _optimizer(trainer: L.Trainer) -> str:
    """Its class and the numbers that it began with."""
    optimizer = trainer.optimizers[0]
    group: dict[str, Any] = {**optimizer.param_groups[0]}
    group["lr"] = group.get("initial_lr", group["lr"])
    numbers = {name: group.get(name) for name in ("lr", "betas", "momentum", "weight_decay")}
    said = [f"{name} {value}" for name, value in numbers.items() if value is not None and _is_plain(value)]
    return f"{type(optimizer).__name__} ({', '.join(said)})" if said else type(optimizer).__name__


def _is_plain(value: Any) -> bool:
    values = value if isinstance(value, tuple | list) else [value]
    return all(isinstance(one, int | float) and math.isfinite(one) for one in values)
