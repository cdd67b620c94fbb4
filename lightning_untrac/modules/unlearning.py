"""Unlearning: ascent, or any other objective, on one dataset an episode."""

from __future__ import annotations

from typing import Any, ClassVar, Final, get_args

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.errors import ConfigurationError, UnlearningError, raise_if_any
from lightning_untrac.modules.answering_terms import NO_STREAM, AnsweringTerms
from lightning_untrac.modules.episode_state import EpisodeState
from lightning_untrac.modules.objective_problems import (
    gradient_problems,
    objective_problems,
    trainer_problems,
    view_problems,
)
from lightning_untrac.modules.own_answers import OwnAnswers
from lightning_untrac.modules.reference import EVALUATION, Reference
from lightning_untrac.modules.term_layers import layers_of_terms
from lightning_untrac.modules.two_gradients import TwoGradients
from lightning_untrac.modules.untrained import Untrained
from lightning_untrac.modules.weight_parts import WeightParts
from lightning_untrac.objectives.objective import Objective
from lightning_untrac.objectives.terms import ForgetTerm, Seen, Stream
from lightning_untrac.outputs import MeasureNeed, Need, Outputs

OTHER_STREAMS: Final[tuple[Stream, ...]] = ("retain", "alternative", "retain_alternative")
"""What stands in a batch of the forget set beside it."""


def paper_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam with a learning rate of 5e-5, betas .9 and .999 and no weight decay: the UnTrac paper's setting (sec. 5).

    Fused: the same update to some 1e-9, and a whole step at batches of 1 is 1.2 to 1.4 times as fast on a CPU
    (``benchmarks/choices.py``).
    """
    return torch.optim.Adam(parameters, lr=5e-5, fused=True)


class Unlearning(AnsweringTerms):
    """Take datasets out of a trained model, one an episode.

    By default gradient ascent as UnTrac does it: Adam at a constant 5e-5 with fresh state, no clipping, no weight
    decay, and (unlike the paper's code, where it stayed on) no dropout. Give another ``unlearning_objective``, or
    override :meth:`objective`, for another method.

    Between episodes :class:`~lightning_untrac.callbacks.PreUnlearningWeights` puts the weights back.

    Args:
        name_or_path: the trained model: hub name or folder.
        unlearning_objective: what a step minimises: an :class:`~lightning_untrac.objectives.Objective` of several
            terms, or a forget term alone; gradient ascent by default.
        optimizer: makes the optimizer from the parameters.
        dropout: whether dropout is active in unlearning steps.
        settings: the others of :class:`LanguageModule`; unlearning a model from scratch (``config``) is for tests.

    Example:
        Ascent at half the strength, by subclassing:

        >>> class HalfAscent(Unlearning):
        ...     def objective(self, seen):
        ...         return -seen.forget.mean_loss() / 2

    Attributes:
        extra_streams: streams that a subclass' own :meth:`objective` reads beside those of ``unlearning_objective``.
        heals: whether an episode goes on after forgetting, with the retain terms alone; :class:`Healing` says so.
        healing: whether it has come so far.
        keeps_start: whether something beside the objective needs the weights from before unlearning in the steps.
        keeps_retained: whether something beside the objective needs data that are to stay.
        reference: gives the outputs of the model before unlearning.
        untrained: gives those of a model of its architecture before any training.
        term_layers: of terms that train some, beside the model: they are never saved with it.
        parts: this rank's part of the weights, and gradients by it.
    """

    extra_streams: ClassVar[frozenset[Stream]] = frozenset()
    episode_kind: ClassVar[EpisodeKind] = "each_corpus"
    log_losses: ClassVar[bool] = False

    def __init__(
        self,
        name_or_path: str | None = None,
        *,
        unlearning_objective: Objective | ForgetTerm | None = None,
        optimizer: OptimizerCallable = paper_adam,
        dropout: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(name_or_path, optimizer=optimizer, dropout=dropout, **settings)
        self.unlearning_objective = Objective.of(unlearning_objective)
        self.episode_status = "ok"
        self.episode_ended = False
        self.heals = self.healing = self.keeps_start = self.keeps_retained = False
        self.reference, self.own_answers, self.parts = Reference(self), OwnAnswers(self), WeightParts(self)
        self.untrained = Untrained(self)
        self.two_gradients = TwoGradients(self, self.unlearning_objective.rectify)
        self.term_layers = torch.nn.ModuleList()

    @override
    def configure_model(self) -> None:
        if self.model is not None:
            return
        super().configure_model()
        self.term_layers.extend(layers_of_terms(self))

    # -- what a step minimises -------------------------------------------------------------------------------------

    @override
    def objective(self, seen: Seen) -> Any:
        return [self.parts.summed(part) for part in self.unlearning_objective(seen, forgets=not self.healing)]

    @property
    def streams(self) -> frozenset[Stream]:
        """What each step has to bring; the DataModule asks."""
        return self.unlearning_objective.streams | self.extra_streams

    @property
    def alternatives_from(self) -> str | None:
        """Where other answers come from for datasets that name none; the DataModule asks."""
        return next((found for term in self.unlearning_objective.terms() if (found := term.alternatives_from)), None)

    @property
    def stratifies(self) -> bool:
        """Whether retained examples have to have classes that fit those of the forget examples; the DataModule asks."""
        return self.unlearning_objective.stratifies

    @property
    def needs_retain(self) -> bool:
        """Whether there must be corpora beside the unlearned one; the DataModule asks."""
        terms = self.unlearning_objective.terms()
        return self.keeps_retained or "retain" in self.streams or any(term.needs_retained_examples for term in terms)

    @override
    def see(self, batch: LanguageBatch) -> Seen:
        """One forward pass over each stream; before them, of the pre-unlearning model where a term asks for it."""
        batches: dict[str, LanguageBatch] = {"forget": batch}
        for stream in OTHER_STREAMS:
            if stream in batch:
                batches[stream] = batch[stream]  # type: ignore[typeddict-item]
        if self.healing:  # what is forgotten already is not run again
            batches = {stream: batches[stream] for stream in self.unlearning_objective.retained_streams}
        anchored = self.unlearning_objective.anchor is not None
        weights = self.parts.for_anchors() if anchored else None
        seen = self.reference.beside(batches)
        for name, outputs in seen.items():
            if (views := self.unlearning_objective.views_of(name)) > 1 and not self.healing:
                outputs.views = self._views(batches[name], views - 1)
        others = {stream: seen.get(stream) for stream in OTHER_STREAMS}
        forget = seen["retain"] if self.healing else seen["forget"]
        found = Seen(forget, others["retain"], others["alternative"], others["retain_alternative"])
        if anchored:
            found.weights, found.start = weights, self.reference.start()
        return found

    def _views(self, batch: LanguageBatch, count: int) -> tuple[tuple[Tensor, ...], ...]:
        """Hidden states of further forward passes over a batch, with dropout."""
        with self.with_dropout():
            found = [self.outputs_of(batch, hidden_states=True).hidden_states for _ in range(count)]
        return tuple(states for states in found if states is not None)

    @property
    @override
    def draws_masks(self) -> bool:
        return super().draws_masks or self.unlearning_objective.draws_views

    def needs_of(self, stream: str) -> frozenset[Need]:
        """What is asked for of a stream's outputs: by terms, and of what is evaluated by measures."""
        if stream != EVALUATION:
            return self.unlearning_objective.needs_of(stream)
        known: tuple[Need, ...] = get_args(Need)
        return frozenset(need for need in known if need in self.measure_needs)

    @classmethod
    @override
    def gives(cls, stage: str) -> frozenset[MeasureNeed]:
        return super().gives("fit") | (frozenset(get_args(Need)) if stage == "fit" else frozenset())

    @override
    def outputs_to_measure(self, batch: LanguageBatch) -> Outputs:
        return self.completed(self.reference.beside_measured(batch), batch)

    @override
    def _before_backward(self, shares: list[Tensor], batch: LanguageBatch, batch_idx: int) -> None:
        if self.unlearning_objective.rectify is not None and not self.healing:
            self.two_gradients.hold(shares, batch, batch_idx)

    def forget_share(self, batch: LanguageBatch, batch_idx: int) -> Tensor:
        """What the forget term contributes to a step by a micro-batch that was seen before, at the weights of now.

        Args:
            batch: the micro-batch.
            batch_idx: its number, for its dropout masks.
        """
        if self.draws_masks:
            self._seed_dropout(batch_idx)
        forget = self.unlearning_objective.forget
        others = {stream for stream in OTHER_STREAMS if stream not in forget.streams}
        with self.trainer.precision_plugin.train_step_context():
            seen = self.see({key: value for key, value in batch.items() if key not in others})  # type: ignore[arg-type]
            (part,) = Objective(forget)(seen)
            return self.weighted(part, seen, self.pieces)

    @override
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.two_gradients.held:
            self.two_gradients.backward()
        else:
            super().backward(loss, *args, **kwargs)
            self.parts.add_anchors()

    # -- what can't be ---------------------------------------------------------------------------------------------

    @override
    def problems(self) -> list[str]:
        return [*super().problems(), *objective_problems(self, Unlearning.objective)]

    @override
    def architecture_problems(self) -> list[str]:
        found = [*super().architecture_problems(), *self.unlearning_objective.problems(self)]
        return [*found, *view_problems(self)]

    @override
    def strategy_problems(self, strategy: Any) -> list[str]:
        found = super().strategy_problems(strategy)
        return [*found, *gradient_problems(self.unlearning_objective, strategy, self.heals)]

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        raise_if_any(trainer_problems(self.unlearning_objective, self.trainer))

    # -- hooks -----------------------------------------------------------------------------------------------------

    @override
    def configure_callbacks(self) -> list[Callback]:
        """What prepares episodes and keeps the objective's state; hand it over if you add callbacks of your own."""
        return [EpisodeState(self)]

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The weights of the interrupted episode are not in place yet: the model is still the one that it began from.
        self.reference.keep()

    # -- episodes --------------------------------------------------------------------------------------------------

    def end_episode(self, status: str = "ok") -> None:
        """Take no further step in this episode, read the losses once more, and go on with the next one.

        Args:
            status: what the last readings carry: ``ok`` for an episode that has gone far enough, ``collapsed`` or
                ``nonfinite`` for one that has gone wrong.
        """
        self.episode_status, self.episode_ended = status, True

    def end_forgetting(self) -> None:
        """Take no further step of the forget term: go on with the retain terms if the episode heals, else end it."""
        if self.heals:
            self.healing = True
        else:
            self.end_episode()

    @override
    def on_train_batch_start(self, batch: LanguageBatch, batch_idx: int) -> int | None:
        for stream in self.streams - {"forget"}:
            if stream not in batch:
                raise ConfigurationError([NO_STREAM.format(objective=self.unlearning_objective, stream=stream)])
        # Lightning's documented way to skip the rest of an epoch.
        return -1 if self.episode_ended else None

    @override
    def training_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Tensor]:
        if self.episode_ended:
            raise UnlearningError(
                f"the episode has ended ({self.episode_status}), and a step is asked for: {type(self).__name__} "
                "overrides on_train_batch_start; let it return what super().on_train_batch_start(...) returns"
            )
        return super().training_step(batch, batch_idx)
