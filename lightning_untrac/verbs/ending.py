"""Where a fit ends when the process is asked to: between two steps, with a checkpoint, on all ranks together."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import lightning.pytorch as L
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac import termination
from lightning_untrac.verbs.checkpoints import ResumeCheckpoints, use_atomic_checkpoints


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
        if between_steps and not trainer.is_last_batch:  # after the last one, validation comes first
            _end_if_asked(trainer)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # After the last pass nothing is left to do but to save the model, and the verb ends after that.
        if trainer.current_epoch + 1 < (trainer.max_epochs or 1):
            _end_if_asked(trainer)

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        termination.wait_for_a_good_moment(False)


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
