"""Influences against an episode that lacks nothing, instead of against the start weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from typing_extensions import override

from lightning_untrac.data.episodes import CONTROL, Episode
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import Readout
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.tables import InfluenceRow, InfluenceStore

HIGH_RISE = 0.1
"""Nats per token. On the models of benchmarks/RESULTS.md the control changed the loss by -0.05 to 0.03."""


class ControlledInfluenceLogger(InfluenceLogger):
    """Hold every reading against the control's at the same step: that is the loss before.

    The control is the first episode of a seed. It writes no rows of its own; its losses are in the rows of the others,
    from where a run that was killed takes them back to the last bit, so that the control is run again only where no
    other episode was finished.

    Args:
        folder: see :class:`InfluenceLogger`.
        method: name in the tables.
        seed: of this fit's episodes.
        readout: see :class:`InfluenceLogger`.

    Attributes:
        control: the control's losses by (seed, step).
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        method: str = "continuation",
        seed: int = 0,
        readout: Readout = "difference",
    ) -> None:
        super().__init__(folder, method, readout, ascends=False)
        self.seed = seed
        self.control: dict[tuple[int, int], DatasetLosses] = {}

    @override
    def needs_control(self, test_sets: Sequence[str]) -> bool:
        """Whether the control is still to be run; where it is not, its losses are read from the table."""
        if self.store is not None and not self.control:
            self.control = stored_control(self.store, self.method, self.seed, test_sets, self.readout)
        return not self.control

    @override
    def losses_before(self, episode: Episode, step: int) -> DatasetLosses | None:
        if step == 0:
            return self.baseline
        if (episode.seed, step) not in self.control:
            known = sorted(known for seed, known in self.control if seed == episode.seed)
            raise UnlearningError(
                f"the control with all corpora (seed {episode.seed}) has readings at the steps {known} and none at "
                f"{step}: give the same steps and readings as before, or another output folder"
            )
        return self.control[episode.seed, step]

    @override
    def notes(self) -> list[str]:
        if self.baseline is None or not self.control:
            return super().notes()
        last = self.control[max(self.control)]
        rise = float((last.token_loss - self.baseline.token_loss).nan_to_num(nan=math.inf).max())
        if rise < HIGH_RISE:
            return super().notes()
        how_far = (
            f"raised the loss on a test set by {rise:.2f} nats per token" if rise < math.inf else "broke the model"
        )
        return [
            *super().notes(),
            f"going on with all corpora {how_far}: the learning rate is too high for this model, or these are not the "
            "corpora that it was trained on; give a lower one (--model.optimizer torch.optim.Adam --model.optimizer.lr "
            "1e-5), or unlearn (--method untrac)",
        ]

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not _is_control(trainer):
            super().on_train_epoch_start(trainer, pl_module)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not _is_control(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    @override
    def _read(self, trainer: L.Trainer, module: Any, after: DatasetLosses) -> None:
        if not _is_control(trainer):
            super()._read(trainer, module, after)
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.control[data.current_episode.seed, self.optimizer_step(trainer)] = after

    @override
    def state_dict(self) -> dict[str, Any]:
        control = [(*key, losses.as_lists()) for key, losses in self.control.items()]
        return {**super().state_dict(), "control": control}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.control = {(seed, step): DatasetLosses.of_lists(lists) for seed, step, lists in state_dict["control"]}


def stored_control(
    store: InfluenceStore, method: str, seed: int, test_sets: Sequence[str], readout: Readout = "difference"
) -> dict[tuple[int, int], DatasetLosses]:
    """The control's losses by (seed, step), from the rows of a finished episode of this seed.

    Args:
        store: of the rows.
        method: name in the tables.
        seed: of the episodes.
        test_sets: names of the evaluated datasets, in order.
        readout: with which the rows were written.

    Returns:
        Nothing where no episode is finished, or none was read on all these test sets.
    """
    finished = sorted(corpus for corpus, its in store.finished_episodes(method) if its == seed)
    if not finished:
        return {}
    readings: dict[int, dict[str, InfluenceRow]] = {}
    for row in store.rows():
        if (row.method, row.corpus, row.seed) == (method, finished[0], seed):
            readings.setdefault(row.step, {})[row.test_set] = row
    if any(name not in rows or rows[name].loss_before is None for rows in readings.values() for name in test_sets):
        return {}
    fields = ("loss_before", "example_loss_before", "num_tokens", "num_examples")
    return {
        (seed, step): DatasetLosses.of_lists(
            [
                *([getattr(rows[name], field) for name in test_sets] for field in fields),
                _stored_parts(rows, test_sets, readout),
            ]
        )
        for step, rows in readings.items()
    }


def _stored_parts(rows: dict[str, InfluenceRow], test_sets: Sequence[str], readout: Readout) -> list[Any] | None:
    """The parts of the losses before, as ``DatasetLosses`` has them; zeros stand for those of the other readouts."""
    found = []
    for name in test_sets:
        sums, weights = rows[name].part_losses_before, rows[name].part_weights
        if sums is None or weights is None:
            return None
        nothing = [0.0] * len(sums)
        found.append([nothing, sums, nothing, weights] if readout == "example" else [sums, nothing, weights, nothing])
    return found


def _is_control(trainer: L.Trainer) -> bool:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return bool(data.current_episode.dataset == CONTROL)
