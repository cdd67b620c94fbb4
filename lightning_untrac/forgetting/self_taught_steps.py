"""Puts the anti-samples of a round, and what is rehearsed beside them, in the place of each step's batch."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from typing_extensions import override

from lightning_untrac.antisamples.asking import Asking
from lightning_untrac.antisamples.filters import AntiSampleFilter
from lightning_untrac.antisamples.forgotten import Forgotten
from lightning_untrac.antisamples.generators import Generator
from lightning_untrac.antisamples.generators.current_model import CurrentModel
from lightning_untrac.antisamples.given import given
from lightning_untrac.antisamples.kept import Rehearsal
from lightning_untrac.antisamples.loop import Round, SelfTaughtLoop, all_of
from lightning_untrac.antisamples.settings import LoopSettings
from lightning_untrac.antisamples.wrong_answers import WrongAnswers
from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from lightning_untrac.callbacks.episode_progress import EpisodeProgress
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.question_frame import Row
from lightning_untrac.data.streams import StreamBatchSampler, StreamCollator, StreamExamples
from lightning_untrac.data.written_rows import WrittenRows
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.judges import Judge
from lightning_untrac.loggers import SafeWandbLogger
from lightning_untrac.naming import counted
from lightning_untrac.objectives import Descent
from lightning_untrac.sharding import reshard
from lightning_untrac.tables.ledger import Ledger, LedgerRow, ledger_schema


class SelfTaughtSteps(EndsForgetting):
    """Run the loop between the steps of an unlearning, and serve what it writes.

    The forget stream of a step are anti-samples of the round, the retain stream what is rehearsed; both are cut into
    micro-batches and ranks as the house cuts all streams. A round's steps are ``passes`` over its anti-samples. Put it
    before :class:`~lightning_untrac.callbacks.ReadingSchedule`. The module has to descend on both streams:
    ``UnSTAR(...).prepare(module)`` sees to that, and ``UnSTAR(...).callbacks()`` makes this.

    Args:
        settings: of the loop.
        generator: writes anti-samples, reasons and rewordings.
        judge: says whether a text gives an answer.
        wrong_answers: where wrong answers come from.
        filter: says which texts are anti-samples.
        ledger: where rounds are written down; None for nowhere.
    """

    def __init__(
        self,
        settings: LoopSettings,
        generator: Generator,
        judge: Judge,
        wrong_answers: WrongAnswers,
        filter: AntiSampleFilter,
        ledger: Path | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.generator, self.judge = settings, generator, judge
        self.wrong_answers, self.filter = wrong_answers, filter
        self.ledger = None if ledger is None else Ledger(ledger)
        self._reset()

    def _reset(self) -> None:
        self.reason = self.standing = None
        self.loop: SelfTaughtLoop | None = None
        self._state: dict[str, Any] | None = None
        self._round = Round([], [])
        self._step = 0  # of the round
        self._plain: list[Row] = []
        self._order: list[dict[str, np.ndarray]] = []
        self._writes, self._seed = False, 0

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        state = self._state
        self._reset()
        self._state = state

    @override
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: LanguageBatch, batch_idx: int) -> None:
        if pl_module.episode_ended or pl_module.healing:
            return
        if self.loop is None:
            self._begin(trainer, pl_module)
            if self.reason is not None:
                raise UnlearningError(f"there was nothing to take a step on: {self.reason}")
        micro = batch_idx % trainer.accumulate_grad_batches
        own = self._micro_batch(trainer, micro)
        for name in list(batch):
            del batch[name]  # type: ignore[misc]
        batch.update(own)

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        if pl_module.episode_ended or pl_module.healing or not ends_step or self.loop is None:
            return
        self._step += 1
        if trainer.is_last_batch:
            self.loop.look(InfluenceLogger.optimizer_step(trainer))
            self.standing = self.loop.standing
        elif self._step == len(self._order):
            self._next(trainer, pl_module)
            if self.reason is not None:
                pl_module.end_forgetting()

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.ledger is not None and self._writes:
            self.ledger.finish()
            for logger in trainer.loggers:
                if isinstance(logger, SafeWandbLogger):
                    logger.log_matrix("unstar/ledger", ledger_schema().names, self.ledger.telling())

    @override
    def state_dict(self) -> dict[str, Any]:
        if self.loop is None:
            return {}
        return {
            "loop": self.loop.state_dict(),
            "round": [list(map(list, pairs)) for pairs in self._round],
            "step": self._step,
            "standing": self.standing,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._reset()
        self._state = state_dict or None

    # -- rounds ----------------------------------------------------------------------------------------------------

    def _begin(self, trainer: L.Trainer, module: Any) -> None:
        objective = module.unlearning_objective
        if not isinstance(objective.forget, Descent) or "retain" not in objective.streams or not module.keeps_start:
            raise ConfigurationError(
                [
                    f"model.unlearning_objective: {objective} is no descent on anti-samples beside rehearsed answers; "
                    "call UnSTAR(...).prepare(module) before the fit"
                ]
            )
        found = given(module)
        self._frame, self._plain = found.frame, found.plain
        self._seed = module.episode_seed if self.settings.seed is None else self.settings.seed
        settings = replace(self.settings, seed=self._seed)
        model, before = CurrentModel(self._frame), CurrentModel(self._frame, before_unlearning=True)
        for one in (model, before, self.generator):
            one.attach(module)
        asking = Asking(model, self.generator, self.judge, settings, before)
        asking.doing = lambda what, done, of: self._tell(trainer, what, done, of)
        forgotten, rehearsal = Forgotten(asking, self.filter, found.elsewhere), Rehearsal(asking, self.filter)
        self._writes = trainer.is_global_zero and self.ledger is not None
        self.loop = SelfTaughtLoop(asking, forgotten, rehearsal, lambda rows: self._keep(trainer, rows))
        if self._state is not None:
            if self._writes and self.ledger is not None:
                self.ledger.begin(self._state["loop"]["numbers"][-1])
            self._go_on(trainer)
            return
        forgotten.begin(found.forget, self.wrong_answers, all_of(found.retained))
        self.loop.notes += found.notes
        if self._writes and self.ledger is not None:
            self.ledger.begin()
        rehearsal.begin(found.retained, chain.from_iterable(forgotten.wrong.values()))
        self._next(trainer, module)

    def _go_on(self, trainer: L.Trainer) -> None:
        assert self.loop is not None
        assert self._state is not None
        self.loop.load_state_dict(self._state["loop"])
        anti, rehearsed = self._state["round"]
        self._serve(trainer, Round([tuple(one) for one in anti], [tuple(one) for one in rehearsed]))
        self._step, self.standing = self._state["step"], self._state["standing"]
        self._state = None

    def _next(self, trainer: L.Trainer, module: Any) -> None:
        """Let the loop look at the model, and serve what comes of it."""
        assert self.loop is not None
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        step = 0 if trainer.global_step == 0 else InfluenceLogger.optimizer_step(trainer)
        found = self.loop.next_round(step, data.retained_per_example)
        reshard(module.model)  # a checkpoint may be the next thing that reads the weights
        self.standing = self.loop.standing
        if found is None:
            self.reason, self.standing = self.loop.reason, None
        else:
            self._serve(trainer, found)

    def _tell(self, trainer: L.Trainer, what: str, done: int, of: int) -> None:
        number = 1 if self.loop is None else self.loop.round
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EpisodeProgress):
                callback.show_work(f"round {number}, {what}", done, of)

    def _keep(self, trainer: L.Trainer, rows: list[LedgerRow]) -> None:
        """Write down a round, and say how it stands."""
        assert self.loop is not None
        if self._writes and self.ledger is not None:
            self.ledger.append(rows)
        counts = self.loop.counts
        for logger in trainer.loggers:
            logger.log_metrics({f"unstar/{name}": float(value) for name, value in counts.items()}, rows[0].step)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EpisodeProgress):
                stands = f"{self.loop.standing}, {counts['retained_broken']} retained answers broken"
                said = f"round {counts['round']}: {stands}; {counts['anti_samples']} anti-samples"
                callback.announce(f"{callback.name}: {said}")

    # -- batches ---------------------------------------------------------------------------------------------------

    def _serve(self, trainer: L.Trainer, found: Round) -> None:
        """Draw the order of a round's steps."""
        assert self.loop is not None
        self._round, self._step = found, 0
        rng = np.random.default_rng([self._seed, self.loop.round])
        anti = [self._frame.row(*pair) for pair in found.anti]
        rehearsed = [self._frame.row(*pair) for pair in found.rehearsed]
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        times = data.retained_per_example
        missing = len(anti) * times - len(rehearsed)
        if missing > 0 and self._plain:
            chosen = rng.permutation(len(self._plain))[:missing]
            rehearsed += [self._plain[index] for index in chosen]
        if not rehearsed:
            raise UnlearningError(
                "nothing is rehearsed: the model answers no retained question; give retained data that it knows "
                "(data.corpora), as questions or as texts"
            )
        sampler = data.sampler(data.current_episode, trainer.accumulate_grad_batches, *data_parallel_rank(trainer))
        written = {"forget": WrittenRows("anti_samples", anti), "retain": WrittenRows("rehearsed", rehearsed)}
        self._examples = StreamExamples({name: Concatenation([rows]) for name, rows in written.items()})
        self._batches = StreamBatchSampler(sampler, self._examples, times=times)
        size = sampler.effective_batch_size
        self._order, kept = [], np.empty(0, dtype=np.int64)
        for _ in range(self.settings.passes):
            order = rng.permutation(len(anti))
            for begin in range(0, len(order), size):
                step = order[begin : begin + size]
                while len(kept) < len(step) * times:
                    kept = np.append(kept, rng.permutation(len(rehearsed)))
                self._order.append({"forget": step, "retain": kept[: len(step) * times]})
                kept = kept[len(step) * times :]

    def _micro_batch(self, trainer: L.Trainer, micro: int) -> LanguageBatch:
        """This rank's share of the step, of both streams."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        collate = StreamCollator(data.loader_options()["collate_fn"])
        share = [*self._batches.shares(self._order[self._step])][micro]
        moved: LanguageBatch = trainer.strategy.batch_to_device(collate(self._examples.__getitems__(share)))
        return moved

    def doubts(self) -> list[str]:
        """What went wrong, a sentence each."""
        return [] if self.loop is None else self.loop.doubts

    # -- words -----------------------------------------------------------------------------------------------------

    def said(self) -> list[str]:
        """What came of it, a sentence each."""
        if self.loop is None:
            return []
        counts = self.loop.counts
        asked = len([one for one in self.loop.forgotten.questions if one.origin == "reworded"])
        used = f"{counts['generations']:,} generations of {counts['tokens']:,} tokens"
        return [
            f"{counted(counts['round'], 'round')}, {counted(counts['questions'], 'question')} ({asked} reworded by the "
            f"generator), {used}",
            *self.loop.notes,
        ]
