"""SISA's training: an ensemble shard by shard and slice by slice, where nothing is trained twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from lightning_untrac.callbacks import EpisodeProgress, SavePretrained, TrainingTime, WeightsMustMove
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.shards import ShardedSamples
from lightning_untrac.modules.members import ENSEMBLE
from lightning_untrac.runs.identity import comparable
from lightning_untrac.runs.saved_models import damage_of
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.tables.checksums import CHECKSUMS, write_checksums

TRAINED: Final = "slices.json"
"""What the trained slices took, by key."""

DECIDES: Final = ("model", "trainer", "effective_batch_size", "batch_cut", "tokenizer_files", "model_files")
"""Of a stage's identity: the settings on which a member's weights depend. What its samples hold is known by itself."""


@dataclass(frozen=True)
class State:
    """A member once it has been trained on some of its slices.

    Attributes:
        shard: from 0.
        slices: how many.
        rows: the samples of these slices.
        key: digest of all that its weights depend on: the state before, settings and samples.
    """

    shard: int
    slices: int
    rows: np.ndarray
    key: str


class ShardedTraining:
    """Trains members, each from the state before one slice to the one after it.

    Bourtoule et al. 2021 (arXiv 1912.03817): a member is trained on its first slice, then on the first two, and so on,
    and kept after each. A state's folder is named after a digest of everything that its weights depend on, and has
    been trained if it is there. So a forgotten sample leads to other folders from its slice on and to the same ones
    before it; a run that was killed goes on with the next slice; and another forget set begins from what there is.

    The optimizer starts fresh with each slice.

    Args:
        stage: the verb's, checked.
        samples: with their places.
        plan: whose seed is that of all orders.
        folder: for the states.
        passes: over the samples of a state, so many of each.
    """

    def __init__(self, stage: Stage, samples: ShardedSamples, plan: EpisodePlan, folder: Path, passes: float) -> None:
        self.stage, self.samples, self.folder = stage, samples, folder
        self._plan = replace(plan, kind="mixture", only=(), steps=None, passes=passes)
        settings = {name: value for name, value in comparable(stage.identity).items() if name in DECIDES}
        network = dict(settings["model"]["init_args"])
        if "model_files" in settings:  # what lies there counts, and not where
            network.pop("name_or_path", None)
        settings |= {"model": [settings["model"]["class_path"], network], "seeds": [*plan.seeds], "passes": passes}
        self._settings = json.dumps(settings, sort_keys=True, default=str)

    def states(self, shard: int, *, without: bool) -> list[State]:
        """The states of a member, in order; none where a slice is the first and empty.

        Args:
            shard: from 0.
            without: what was to be forgotten.
        """
        found: list[State] = []
        key = self._settings
        for slices in range(1, self.samples.slices + 1):
            rows = self.samples.rows(shard, slices, without=without)
            if len(rows):
                key = hashlib.sha256("\n".join([key, *self.samples.digests[rows]]).encode()).hexdigest()[:16]
                found.append(State(shard, slices, rows, key))
        return found

    def folder_of(self, state: State) -> Path:
        """Where a state is, or will be."""
        return self.folder / f"shard-{state.shard + 1}" / f"slice-{state.slices}-{state.key}"

    def train(self, states: Sequence[State], start: str | None) -> Path:
        """Train a member, from its last state that is there.

        Args:
            states: of the member, at least one.
            start: the model before training; None for a new one by its configuration.

        Returns:
            Where its last state is.
        """
        for state in states:
            after = self.folder_of(state)
            if state.key not in self.took() or damage_of(after):
                self._fit(state, start, after)
            start = str(after)
        return after

    def took(self) -> dict[str, dict[str, Any]]:
        """What the trained states took: ``seconds``, of which ``training_seconds``, and ``steps``, by key."""
        found: dict[str, dict[str, Any]] = self.stage.folder.read_json(f"{self.folder.name}/{TRAINED}", {})
        return found

    def _fit(self, state: State, before: str | None, after: Path) -> None:
        stage = self.stage
        where = f"shard {state.shard + 1} of {self.samples.shards}, slice {state.slices} of {self.samples.slices}"
        timer = TrainingTime()
        trainer = stage.build_trainer(
            callbacks=[timer, EpisodeProgress(f"sisa, {where}"), WeightsMustMove(), SavePretrained(after)],
            logger=stage.build_loggers(f"{stage.name} {where}"),
            max_epochs=1,
            limit_val_batches=0,
            enable_checkpointing=False,
        )
        serves, stage.data.plan, stage.data.part = stage.data.plan, self._plan, self.samples.part(state.rows)
        begun = time.perf_counter()
        try:
            module = stage.build_module() if before is None else stage.build_module().of_saved(before)
            run_trainer(lambda: trainer.fit(module, datamodule=stage.data))
        finally:
            stage.data.plan, stage.data.part = serves, None
        seconds = round(time.perf_counter() - begun, 2)
        took = {"samples": len(state.rows), "steps": trainer.global_step, "seconds": seconds}
        took["training_seconds"] = round(timer.seconds, 2)  # without start-up and saving, as of other models
        with stage.folder.locked():  # another forget set may be at work in the same folder
            stage.folder.write_json(f"{self.folder.name}/{TRAINED}", self.took() | {state.key: took})
        finish_loggers(trainer)


def passes_of_slices(passes: float, slices: int) -> float:
    """Passes over the first slices, the first two, and so on, that are together as much work as a training.

    Slice by slice the samples grow from a part to the whole, so that ``e`` passes each are ``e (slices + 1) / 2`` over
    the whole (arXiv 1912.03817, section IV).

    Args:
        passes: over the whole.
        slices: how many.

    Example:
        >>> passes_of_slices(12.0, 1), passes_of_slices(12.0, 2)
        (12.0, 8.0)
    """
    return 2 * passes / (slices + 1)


def save_ensemble(folder: Path, members: Sequence[Path], facts: dict[str, Any]) -> None:
    """Copy the models of several folders into one, which is read as their ensemble; whole or not at all.

    Args:
        folder: for the ensemble. The configuration and the tokenizer lie in it, as in any model's folder.
        members: whole models of one architecture.
        facts: what else ``ensemble.json`` says.
    """
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    names = [f"shard-{number}" for number in range(1, len(members) + 1)]
    for name, member in zip(names, members, strict=True):
        shutil.copytree(member, beside / name)
    for path in members[0].iterdir():
        if path.is_file() and ".safetensors" not in path.name and path.name != CHECKSUMS:
            shutil.copy2(path, beside)
    said = {"members": names, "prediction": "mean of the members' probabilities", **facts}
    (beside / ENSEMBLE).write_text(json.dumps(said, indent=1))
    write_checksums(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
