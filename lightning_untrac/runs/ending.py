"""Where a fit ends when the process is asked to: between two steps, with a checkpoint, on all ranks together."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import lightning.pytorch as L
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from lightning_untrac import termination
from lightning_untrac.naming import counted
from lightning_untrac.runs.checkpoints import ResumeCheckpoints, reading_follows, use_atomic_checkpoints


class EndOnSignal(Callback):
    """End a fit on SIGTERM or SIGUSR1.

    Lightning's own handler notes the signal and broadcasts in it, which hangs where two ranks are signalled in
    different collectives; it saves nothing. This one takes its place once training begins. With one process and no
    checkpoints to save, the signal ends the fit where it stands. Otherwise the step comes to its end, all ranks agree,
    the checkpoint is saved, and then they end.
    """

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _take(trainer)

    @override
    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _take(trainer)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _take(trainer)

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        # Ranks may have unequal numbers of batches here, so that they cannot agree on one.
        if termination.received() is None or (_saver(trainer) is not None and not trainer.sanity_checking):
            return
        if trainer.world_size > 1:
            termination.leave()
        termination.check()

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        between_steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        # After the last one validation comes first, and a checkpoint waits for its reading.
        if between_steps and not trainer.is_last_batch and not _reads_first(trainer):
            _end_if_asked(trainer)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _saver(trainer) is not None and _between_steps(trainer, pl_module):
            _end_if_asked(trainer)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # After the last pass nothing is left to do but to save the model, and the verb ends after that.
        if trainer.current_epoch + 1 < (trainer.max_epochs or 1):
            _end_if_asked(trainer)

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        termination.wait_for_a_good_moment(False)


class EndWhenTold(Callback):
    """End a fit between two steps when a timer, or in an episode any callback, tells the Trainer to stop.

    Lightning would go on as if training were finished: save the model, and count an episode that was cut short. Here a
    checkpoint is saved where there are checkpoints, and the command ends. A callback of the user's that stops
    ``pretrain`` for a reason of its own (``EarlyStopping``) says how long training is to be, and is left alone.

    Put it after the callbacks that may tell.

    Args:
        episodic: whether an epoch is an episode, which only its own last step can finish.
    """

    def __init__(self, episodic: bool) -> None:
        self.episodic = episodic
        self._told = False

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _time_is_up(trainer):  # Lightning would skip the whole fit
            raise termination.OutOfTime(
                f"the time (trainer.max_time) is over after {trainer.global_step} steps; give it more"
            )

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        if not trainer.should_stop or not (self.episodic or _time_is_up(trainer)):
            return
        finished = trainer.is_last_batch or 0 < trainer.max_steps <= trainer.global_step
        if finished or getattr(pl_module, "episode_ended", False) or not _may_stop(trainer):
            return  # the reading or the validation comes first, and the end of the epoch asks again
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and not _reads_first(trainer):
            self._end(trainer)
        self._told, trainer.should_stop = True, False  # at the end of the step, or after its reading

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._told and _between_steps(trainer, pl_module):
            trainer.should_stop = True
            self._end(trainer)

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        trainer.should_stop = trainer.should_stop or self._told

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        told = trainer.should_stop and (self.episodic or _time_is_up(trainer))
        finished = 0 < (trainer.max_epochs or 1) <= trainer.current_epoch + 1
        finished |= 0 < trainer.max_steps <= trainer.global_step
        if told and not finished and _may_stop(trainer, epochs=trainer.current_epoch + 1):
            self._end(trainer)

    def _end(self, trainer: L.Trainer) -> None:
        what = "the time (trainer.max_time) is over" if _time_is_up(trainer) else "a callback has told it to stop"
        if (saver := _saver(trainer)) is not None:
            saver.save(trainer)
            then = "a checkpoint is saved, and the same command goes on from it"
        elif (trainer.max_epochs or 1) > 1 and self.episodic:
            then = "the episodes that are finished are kept, and the same command goes on with the others"
        else:
            then = "there are no checkpoints, so the same command begins anew"
        raise termination.OutOfTime(f"{what} after {counted(trainer.global_step, 'step')}; {then}")


def _time_is_up(trainer: L.Trainer) -> bool:
    """Whether a timer has told the Trainer to stop; the same on all ranks, which share that decision."""
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    left = [timer.time_remaining() for timer in timers]
    return trainer.should_stop and any(seconds is not None and seconds <= 0 for seconds in left)


def _may_stop(trainer: L.Trainer, epochs: int | None = None) -> bool:
    """Whether ``min_epochs`` and ``min_steps`` are met."""
    done = trainer.current_epoch if epochs is None else epochs
    return done >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)


def prepared(trainer: L.Trainer) -> L.Trainer:
    """Make a Trainer's checkpoint files appear whole or not at all, and its child processes end with this one.

    Args:
        trainer: one with :class:`EndOnSignal` among its callbacks.

    Returns:
        The same.
    """
    use_atomic_checkpoints(trainer)
    if trainer.strategy.launcher is not None:
        termination.wait_for_a_good_moment(False, trainer.strategy.launcher.kill)
    return trainer


def with_our_own_requeueing(plugins: Any, strategy: Any) -> Any:
    """The Trainer's plugins, with SLURM's automatic requeueing off unless the user chose a cluster.

    Lightning would write a checkpoint into the output folder that any later fit with that folder loads, whatever its
    step. Here a requeued job runs the same command, which goes on by itself.

    Args:
        plugins: the user's.
        strategy: the user's; one that was built knows its cluster.
    """
    given = [] if plugins is None else list(plugins) if isinstance(plugins, list | tuple) else [plugins]
    theirs = any(isinstance(plugin, ClusterEnvironment) for plugin in given)
    theirs |= getattr(strategy, "cluster_environment", None) is not None
    if theirs or TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return plugins
    return [*given, SLURMEnvironment(auto_requeue=False)]


def _saver(trainer: L.Trainer) -> ResumeCheckpoints | None:
    return next((c for c in trainer.checkpoint_callbacks if isinstance(c, ResumeCheckpoints)), None)


def _reads_first(trainer: L.Trainer) -> bool:
    return _saver(trainer) is not None and reading_follows(trainer)


def _between_steps(trainer: L.Trainer, module: L.LightningModule) -> bool:
    """Whether the validation that has just ended lies between two steps of a fit, which goes on after it."""
    if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
        return False
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    whole = batches % trainer.accumulate_grad_batches == 0
    return whole and not (trainer.is_last_batch or getattr(module, "episode_ended", False))


def _take(trainer: L.Trainer) -> None:
    with contextlib.suppress(ValueError):  # not in the main thread
        if signal.getsignal(signal.SIGTERM) not in (None, signal.SIG_DFL, termination.handle) and termination.handles():
            signal.signal(signal.SIGTERM, termination.handle)
    saves = _saver(trainer) is not None and not trainer.sanity_checking
    termination.wait_for_a_good_moment(saves or trainer.world_size > 1)


def _end_if_asked(trainer: L.Trainer) -> None:
    asked = termination.received() is not None
    if trainer.world_size > 1:
        asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
    if not asked:
        return
    termination.note(signal.SIGTERM)
    if (saver := _saver(trainer)) is not None:
        saver.save(trainer)
    termination.wait_for_a_good_moment(False)
    termination.limit_the_end()
    raise termination.Terminated
