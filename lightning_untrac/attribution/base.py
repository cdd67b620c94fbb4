"""What a way to score corpora is, and the one machine that runs its episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from typing_extensions import override

from lightning_untrac import termination
from lightning_untrac.attribution.costs import Asked, episode_work
from lightning_untrac.attribution.failures import Failures
from lightning_untrac.attribution.method import METHODS, Method
from lightning_untrac.attribution.trace_strength import STRENGTH_STEPS, setting_problems, strength_problems
from lightning_untrac.callbacks import (
    CollapseGuard,
    DurationEstimate,
    EpisodeProgress,
    ExampleRecorder,
    InfluenceLogger,
    PreUnlearningWeights,
    ReadAtStrength,
)
from lightning_untrac.callbacks.episode_callbacks import episode_callbacks
from lightning_untrac.callbacks.read_at_strength import STRENGTH_READINGS
from lightning_untrac.data import CorpusDataModule, EpisodePlan
from lightning_untrac.data.episodes import CONTROL, EpisodeKind
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import Readout
from lightning_untrac.functional.costs import Work
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules import LanguageModule
from lightning_untrac.tables import InfluenceRow, InfluenceStore

UNLEARN_LESS: Final = "unlearn less (fewer steps, a lower learning rate, --read_at_own_rise 0.02)"
"""What helps methods that go too far."""


class Attribution(Method):
    """A way to score corpora by episodes. A new one is a new file with a subclass.

    Attributes:
        steps_title: what the steps of its episodes are.
        starts_from: the model at whose losses its influences start.
        kind: which episodes it has.
        episode_key: what an episode runs over: a ``corpus`` or a ``test_set``.
        steady: whether one seed's steps tell what the order of batches does, see
            :class:`~lightning_untrac.results.methods.MethodText`.
        finding: what an influence is, to go before "by .3 nats per token".
        precedence: whether the answers are read from this method rather than from others; the same place says how.
        if_wrong: what to do where the method does not find what is known.
        default_steps: optimizer steps of an episode where neither steps nor passes are given; None for passes.
        default_passes: passes of an episode where neither are given; None for those of its ``kind``.
        default_batch_size: examples of a batch where none is given; None for that of its ``kind``.
        has_control: whether each seed begins with an episode that the others are held against.
    """

    steps_title: ClassVar[str] = "unlearning steps"
    starts_from: ClassVar[str] = "the trained model"
    steady: ClassVar[bool] = False
    finding: ClassVar[str] = ""
    precedence: ClassVar[int] = 0
    if_wrong: ClassVar[str] = ""
    kind: ClassVar[EpisodeKind]
    episode_key: ClassVar[Literal["corpus", "test_set"]] = "corpus"
    default_steps: ClassVar[int | None] = None
    default_passes: ClassVar[float | None] = None
    default_batch_size: ClassVar[int | None] = None
    has_control: ClassVar[bool] = False
    has_episodes: ClassVar[bool] = True
    ascends: ClassVar[bool] = True

    @classmethod
    @override
    def plan(cls, seeds: Sequence[int], steps: int | None = None, passes: float | None = None) -> EpisodePlan:
        if steps is None and passes is None:
            steps, passes = cls.default_steps, cls.default_passes
        return EpisodePlan(cls.kind, seeds, steps=steps, passes=passes, batch_size=cls.default_batch_size)

    @classmethod
    @override
    def option_problems(cls, options: Any, config: Any) -> list[str]:
        found = []
        if options.examples and not cls.reads_examples:
            can = ", ".join(name for name, method in METHODS.items() if method.reads_examples)
            found.append(f"examples: only --method {can} reads single examples of the corpora")
        return found + strength_problems(cls, options) + setting_problems(cls, options)

    @classmethod
    @override
    def work(cls, asked: Asked) -> Work | None:
        plan = cls.plan(asked.seeds, asked.steps)
        plan.with_control = cls.has_control
        readings = asked.readings
        if cls.ends_by_strength(asked.steps):
            plan.least_steps = STRENGTH_STEPS
            readings = STRENGTH_READINGS if isinstance(readings, int) else readings
        work = episode_work(asked.data, plan, readings, fits=len(asked.seeds))
        if cls.ascends and asked.retains:
            return replace(work, step_tokens=work.step_tokens * (1 + asked.data.retained_per_example))
        return work

    def problems(self, module: LanguageModule) -> list[str]:
        """Why the method can't work with a module, before anything is run.

        Args:
            module: that is going to be fitted.
        """
        return []

    def prepare(self, module: LanguageModule) -> LanguageModule:
        """Make a module do what the method's steps need.

        Args:
            module: that is going to be fitted.

        Raises:
            ConfigurationError: if it can't.
        """
        return module

    def influence_logger(self, seed: int, **options: Any) -> InfluenceLogger:
        """What turns the readings of a seed's episodes into influences.

        Args:
            seed: of the data order.
            options: ``folder``, ``readout`` and ``baseline`` of :class:`InfluenceLogger`.
        """
        return InfluenceLogger(method=self.method, ascends=self.ascends, **options)


@dataclass
class EpisodeRun:
    """Everything that an attribution's episodes need; one fit a seed.

    Attributes:
        attribution: what is run.
        folder: the results folder; finished episodes are read from there and not run again.
        build_module: makes the module that starts at the pre-unlearning weights; called once a seed.
        build_trainer: makes a Trainer from keyword arguments; called once a seed.
        build_loggers: makes the loggers of a seed's fit.
        data: the datasets.
        seeds: of the data order.
        steps: optimizer steps of an episode; None for ``passes``.
        passes: passes over an episode's data where ``steps`` is None.
        least_steps: see ``EpisodePlan``.
        readings: see ``ReadingSchedule``.
        collapse_cap: see ``CollapseGuard``.
        readout: see ``functional.read_out``.
        store_on: see ``PreUnlearningWeights``.
        per_example: also write ``examples.parquet``.
        baseline: losses before, where the episodes start from other weights than those that are asked about.
        chosen: see ``EpisodePlan``.
        read_at: makes what ends episodes at a strength, see ``ReadAtStrength``; then a number of readings is not evenly
            spread but dense at the start.
        keep_going: whether the other episodes go on after one has failed (on one device), instead of ending there.
        notes: sentences about the episodes that were run now.
    """

    attribution: Attribution
    folder: Path
    build_module: Callable[[], LanguageModule]
    build_trainer: Callable[..., L.Trainer]
    build_loggers: Callable[[str], list[Logger]]
    data: CorpusDataModule
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    passes: float | None = None
    least_steps: int = 1
    readings: int | Sequence[int] = 8
    collapse_cap: float | None = None
    readout: Readout = "difference"
    store_on: Literal["cpu", "device"] = "cpu"
    per_example: bool = False
    baseline: DatasetLosses | None = None
    chosen: frozenset[tuple[str, int]] | None = None
    keep_going: bool = False
    read_at: Callable[[], ReadAtStrength] | None = None
    notes: list[str] = field(default_factory=list, init=False)
    _announced: bool = field(default=False, init=False)

    def plan(self, seed: int, done: frozenset[tuple[str, int]] = frozenset()) -> EpisodePlan:
        """The episodes of one seed."""
        plan = self.attribution.plan((seed,), self.steps, self.passes)
        return replace(plan, least_steps=self.least_steps, done=done, chosen=self.chosen)

    def run(self, after_fit: Callable[[L.Trainer], Any] = lambda trainer: None) -> list[InfluenceRow]:
        """Run what is not finished yet.

        Args:
            after_fit: called with each seed's Trainer after its fit, to log results with its loggers.

        Returns:
            The rows of the episodes that were run now.

        Raises:
            FailedEpisodesError: after all others are finished, with ``keep_going``.
        """
        failures, rows = Failures(self.keep_going), []
        for seed in self.seeds:
            while trainer_and_influence := self._next_fit(int(seed), failures):
                trainer, influence = trainer_and_influence
                failures.check(trainer)
                with failures.recorded(self._forget):
                    trainer.fit(self.attribution.prepare(self.build_module()), datamodule=self.data)
                rows += influence.rows
                self.notes += influence.notes()
                _raise_if_the_control_failed(failures)
                if influence.rows or not failures.failed_now:
                    after_fit(trainer)
                if not failures.failed_now:
                    break
        failures.raise_if_any()
        return rows

    def _next_fit(self, seed: int, failures: Failures) -> tuple[L.Trainer, InfluenceLogger] | None:
        """A Trainer for a seed's episodes that are neither finished nor have failed; None if there are none."""
        termination.check()
        method = self.attribution.method
        finished = InfluenceStore(self.folder).finished_episodes(
            method, key=self.attribution.episode_key, examples=self.per_example
        )
        plan = self.plan(seed, frozenset(finished | failures.causes.keys()))
        if not plan.episodes(self.data.corpus_names, self.data.test_set_names):
            return None
        influence = self.attribution.influence_logger(
            seed, folder=self.folder, readout=self.readout, baseline=self.baseline
        )
        if self.read_at is not None:
            influence.read_at = self.read_at()
        plan.with_control = influence.needs_control(self.data.test_set_names)
        self.data.plan = plan
        episodes = plan.episodes(self.data.corpus_names, self.data.test_set_names)
        trainer = self.build_trainer(
            max_epochs=len(episodes),
            callbacks=[failures.watch(), *self._callbacks(influence)],
            logger=self.build_loggers(f"{method} seed {seed}"),
            reload_dataloaders_every_n_epochs=1,
            enable_checkpointing=False,  # finished episodes are in the store; theta_0 is the model's own folder
        )
        return trainer, influence

    def _work(self, accumulation: int, replicas: int) -> dict[str, Work]:
        """What all seeds have to do together, and what the other direction would have to."""
        attribution, seeds = self.attribution, tuple(int(seed) for seed in self.seeds)
        finished = InfluenceStore(self.folder).finished_episodes(
            attribution.method, key=attribution.episode_key, examples=self.per_example
        )
        mine = replace(self.plan(seeds[0], frozenset(finished)), seeds=seeds)
        mine.with_control = attribution.has_control
        spread = STRENGTH_READINGS if self.read_at is not None and isinstance(self.readings, int) else self.readings
        shared = {"fits": len(seeds), "accumulation": accumulation, "replicas": replicas}
        works = {attribution.method: episode_work(self.data, mine, spread, **shared)}
        if attribution.opposite is not None:
            works[attribution.opposite] = episode_work(
                self.data, METHODS.find(attribution.opposite).plan(seeds), spread, **shared
            )
        return works

    def _forget(self, dataset: str, seed: int) -> None:
        InfluenceStore(self.folder).drop_episode(self.attribution.method, self.attribution.episode_key, dataset, seed)

    def _callbacks(self, influence: InfluenceLogger) -> list[Callback]:
        progress = EpisodeProgress(self.attribution.method)
        first: list[Callback] = [progress, PreUnlearningWeights(self.store_on)]
        if not self._announced:
            self._announced = True
            first.append(DurationEstimate(progress, self._work, at_most=influence.read_at is not None))
        guard = CollapseGuard(self.collapse_cap) if self.attribution.ascends else None
        # Examples before the influences, whose final rows say that the episode is finished.
        examples = [ExampleRecorder(self.folder, self.attribution.method)] if self.per_example else []
        return episode_callbacks(first, [*examples, influence], self.readings, guard, influence.read_at)


def _raise_if_the_control_failed(failures: Failures) -> None:
    for (dataset, seed), cause in failures.causes.items():
        if dataset == CONTROL:
            raise UnlearningError(
                f"the control, which goes on with all corpora (seed {seed}), failed ({cause}), and nothing can be "
                "compared without it"
            )
