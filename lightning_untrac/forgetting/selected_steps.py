"""Steps of ascent on the texts that are memorised most, chosen anew after each pass over those."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import lightning.pytorch as L
import numpy as np
from typing_extensions import override

from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.data.checks import data_parallel_rank
from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.loading import Concatenation
from lightning_untrac.data.sampling import EpisodeBatchSampler
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.forgetting.memorised import Memorisation, holdout_problems
from lightning_untrac.functional.selection import selected
from lightning_untrac.naming import counted
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Term, Unit

ABOVE, MOST = "above", "most"
"""What a step takes: the texts above the threshold, or the most memorised one."""


class SequenceAscent(ForgetTerm):
    """Minus the loss per token of each text, the mean over texts: each counts alike, however long it is."""

    unit: ClassVar[Unit] = "sequence"

    @override
    def __call__(self, seen: Seen) -> Term:
        losses, num_tokens = seen.forget.losses
        rows = num_tokens > 0
        return Term.of(-losses[rows] / num_tokens[rows])


class _Texts(NamedTuple):
    """An episode's texts, and how batches are made of them."""

    sampler: EpisodeBatchSampler
    examples: Concatenation
    targets: np.ndarray
    collate: Collator


class SelectedSteps(EndsForgetting):
    """Puts the selected texts in the place of each step's batch, whatever the DataModule serves.

    A pass: every text's memorisation accuracy is measured with the weights of now (one forward pass, shared out over
    the ranks), those above the threshold are selected, or the most memorised one of all where none is, and as many
    steps are taken as their effective batches come to: one, where the forget set is not larger than such a batch. A
    step's divisor is the number of its texts, so that it is the same however it is cut into micro-batches and ranks.
    What is to stay beside them (a retain term's examples) is what the DataModule serves.

    Put it before :class:`~lightning_untrac.callbacks.ReadingSchedule`. The objective's forget term should be a mean
    over sequences, such as :class:`SequenceAscent`.

    Args:
        memorisation: measures, and says when it is enough.
        threshold: gamma, from which on a text is selected; by default where unseen text ends. 0 selects all texts:
            plain ascent.

    Attributes:
        gamma: the threshold in use, once the first step has begun.
        steps: how many steps took the texts above it, and how many the most memorised one.
    """

    def __init__(self, memorisation: Memorisation, threshold: float | None = None) -> None:
        super().__init__()
        self.memorisation, self.threshold = memorisation, threshold
        self._reset()

    def _reset(self) -> None:
        self.reason = self.standing = None
        self.gamma = math.nan
        self.steps = {ABOVE: 0, MOST: 0}
        self._kind = ABOVE
        self._queue: list[int] = []  # texts of this pass that are still to be stepped on
        self._step: list[int] = []  # those of the step that runs
        self._served: _Texts | None = None
        self.memorisation.forget()

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._reset()

    @override
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: LanguageBatch, batch_idx: int) -> None:
        if pl_module.episode_ended or pl_module.healing:
            return
        if self.memorisation.start is None:
            self._begin(trainer, pl_module)
        micro = batch_idx % trainer.accumulate_grad_batches
        if micro == 0:
            size = self._texts(trainer).sampler.effective_batch_size
            self._step, self._queue = self._queue[:size], self._queue[size:]
            self.steps[self._kind] += 1
        own = self._micro_batch(trainer, micro)
        for key in [key for key, value in batch.items() if not isinstance(value, dict)]:  # not what stays beside them
            del batch[key]  # type: ignore[misc]
        batch.update(own)

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        if pl_module.episode_ended or pl_module.healing or not ends_step or (self._queue and not trainer.is_last_batch):
            return
        self.memorisation.measure(pl_module)
        if not self.memorisation.is_finite:
            pl_module.end_episode("nonfinite")
            return
        self._judge(trainer, pl_module, batch_idx)
        self.memorisation.log(trainer, InfluenceLogger.optimizer_step(trainer), selected=len(self._queue))

    def _judge(self, trainer: L.Trainer, module: Any, batch_idx: int) -> None:
        """End forgetting, or choose the texts of the next pass."""
        met, said = self.memorisation.reached()
        self.reason, self.standing = (said, None) if met else (None, said)
        if met:
            module.end_forgetting()
        else:
            self._choose()

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "memorisation": self.memorisation.state_dict(),
            "gamma": self.gamma,
            "steps": dict(self.steps),
            "kind": self._kind,
            "queue": list(self._queue),
            "step": list(self._step),
            "standing": self.standing,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._reset()
        self.memorisation.load_state_dict(state_dict["memorisation"])
        self.gamma, self.steps, self._kind = state_dict["gamma"], dict(state_dict["steps"]), state_dict["kind"]
        self._queue, self._step = list(state_dict["queue"]), list(state_dict["step"])
        self.standing = state_dict["standing"]

    # -- choosing --------------------------------------------------------------------------------------------------

    def _begin(self, trainer: L.Trainer, module: Any) -> None:
        known = self.memorisation
        known.begin(module)
        if known.unseen is None and (found := holdout_problems("this", threshold=self.threshold, level=known.level)):
            raise ConfigurationError(found)  # from Python; a verb asks before
        self.gamma = self.threshold if self.threshold is not None else known.bound
        name, highest = trainer.datamodule.current_episode.dataset, float(known.values.max())  # type: ignore[attr-defined]
        if highest < self.gamma:
            whose = "" if self.threshold is not None else ", where unseen text ends"
            raise UnlearningError(
                f"{name}: no text is memorised to the threshold {self.gamma:.3f}{whose}; the highest memorisation "
                f"accuracy is {highest:.3f}, so that there is nothing to take steps on. Give a lower "
                "method.threshold, or another forget set"
            )
        self.standing = known.must_go_on()
        self._choose()
        known.log(trainer, 0, selected=len(self._queue))

    def _choose(self) -> None:
        now = self.memorisation.now
        assert now is not None
        chosen = np.flatnonzero(selected(now, self.gamma))
        self._kind = ABOVE if now[chosen].max() >= self.gamma else MOST
        self._queue = [int(index) for index in chosen[np.argsort(-now[chosen], kind="stable")]]

    # -- batches ---------------------------------------------------------------------------------------------------

    def _texts(self, trainer: L.Trainer) -> _Texts:
        """Those of the episode that runs."""
        if self._served is None:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            episode = data.current_episode
            sampler = data.sampler(episode, trainer.accumulate_grad_batches, *data_parallel_rank(trainer))
            examples = Concatenation([data.training_examples(name) for name in episode.trains_on])
            self._served = _Texts(sampler, examples, examples.target_counts(), data.loader_options()["collate_fn"])
        return self._served

    def _micro_batch(self, trainer: L.Trainer, micro: int) -> LanguageBatch:
        """This rank's share of the step's texts."""
        texts, step = self._texts(trainer), np.asarray(self._step)
        share = [*texts.sampler.cut(step)][micro]
        batch = texts.collate([texts.examples[index] for index in share])
        targets = texts.targets[step]
        batch["step_tokens"], batch["step_sequences"] = int(targets.sum()), int((targets > 0).sum())
        moved: LanguageBatch = trainer.strategy.batch_to_device(batch)
        return moved

    # -- words -----------------------------------------------------------------------------------------------------

    def said(self) -> str:
        """What it came to, for people."""
        if self.memorisation.start is None:
            return ""
        most = f", {counted(self.steps[MOST], 'step')} on the most memorised one" if self.steps[MOST] else ""
        return f"{self.memorisation.said(self.gamma)}; {counted(self.steps[ABOVE], 'step')} on those{most}"
