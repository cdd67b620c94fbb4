"""Carry out a verb's episodes: here, as one shard of them, or as tasks on Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from lightning_untrac.attribution.failures import keep_going_problems
from lightning_untrac.errors import raise_if_any
from lightning_untrac.fanout.shards import Shard, make_room, shard_problems, write_card
from lightning_untrac.fanout.work import EpisodeWork
from lightning_untrac.naming import counted
from lightning_untrac.results import plot_matrix
from lightning_untrac.runs.finished import is_finished
from lightning_untrac.runs.output import log_influences, matrix_of, publish, show_influences
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.stage import finish_loggers, run_trainer
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables import InfluenceRow


def carry_out(work: EpisodeWork) -> None:
    """Check everything, run what is not finished, and show the result.

    Args:
        work: what the verb was asked to do.

    Raises:
        ConfigurationError: with all problems, before anything is written or stepped on.
        UntracError: if episodes failed on Ray.
    """
    stage, options = work.stage, work.options
    method = work.attribution.method
    if stage.is_done:
        say(f"{work.title}: finished already")
        show_influences(stage.folder, method)
        return
    shard = None if options.shard is None or shard_problems(options.shard) else Shard.read(options.shard)
    whole = stage.folder
    if shard is not None:
        own = RunFolder(shard.folder(whole.path, stage.name), whole.overwrite)
        own.mend_tables()
        if is_finished(stage, own):
            say(f"{work.title}, shard {shard}: finished already")
            return
    stage.check(work.plan, [*work.problems, *keep_going_problems(options.keep_going, stage.replicas)])
    if shard is not None:
        _enter(work, shard, own)
    stage.start(**work.run_fields())
    if shard is not None:
        key = work.attribution.episode_key
        write_card(stage.folder, shard, stage.name, method, key, work.episodes())
    with stage.folder.costs(stage.name):
        rows = _run(work, shard)
    _add_memory(work)
    stage.folder.add_notes("warning", work.warnings(rows))
    something = stage.finish_episodes(work.attribution, work.plan)
    if shard is not None:
        _show_shard(work, shard, whole)
    elif something:
        if options.ray is not None:
            publish_matrix(options.wandb, stage.folder, method, stage.name)
        show_influences(stage.folder, method, stage.data.corpus_names, stage.data.test_set_names)


def _enter(work: EpisodeWork, shard: Shard, folder: RunFolder) -> None:
    """Go on in the shard's own folder, with its episodes only."""
    stage = work.stage
    make_room(stage.folder.path)
    raise_if_any(folder.problems(stage.name, stage.identity))
    if stage.parsed.options.wandb is not None:  # shards of one experiment stand side by side in W&B
        stage.parsed.options.wandb.group = stage.parsed.options.wandb.group or stage.folder.path.resolve().name
    chosen = frozenset(shard.part(work.episodes()))
    stage.folder = folder
    work.plan = replace(work.plan, chosen=chosen)
    work.run.folder, work.run.chosen = folder.path, chosen


def _run(work: EpisodeWork, shard: Shard | None) -> list[InfluenceRow]:
    if not work.unfinished():
        return []
    if work.options.ray is not None:
        from lightning_untrac.fanout.ray_driver import run_on_ray  # ray is an extra

        return run_on_ray(work)
    if work.baseline is not None:
        work.run.baseline = work.baseline()

    def after_fit(trainer: L.Trainer) -> None:
        if shard is None and not work.stage.fast_dev_run and trainer.is_global_zero:
            data = work.stage.data
            log_influences(trainer, work.stage.folder, work.attribution.method, data.corpus_names, data.test_set_names)
        finish_loggers(trainer)

    return run_trainer(lambda: work.run.run(after_fit=after_fit))


def _add_memory(work: EpisodeWork) -> None:
    for cost in work.stage.folder.facts().get("costs", []):
        if cost["step"] == work.stage.name and work.peak_memory_mb > cost["peak_memory_mb"]:
            work.stage.folder.add_cost({**cost, "peak_memory_mb": round(work.peak_memory_mb, 1)})


def _show_shard(work: EpisodeWork, shard: Shard, whole: RunFolder) -> None:
    mine = shard.part(work.episodes())
    if not mine:
        say(f"{work.title}, shard {shard}: of {counted(len(work.episodes()), 'episode')} none is left for this shard")
    else:
        done = f"{len(mine) - len(work.unfinished())} of {counted(len(mine), 'episode')}"
        say(f"{work.title}, shard {shard}: {done} finished")
    say(f"when all shards are finished: untrac merge --output {whole.path}")


def publish_matrix(wandb: Any, folder: RunFolder, method: str, stage: str) -> None:
    """Send the matrix and the results to W&B, where no Trainer of this process has done it.

    Args:
        wandb: the verb's ``WandbConfig``; None for no W&B.
        folder: the output folder.
        method: name in the tables.
        stage: e.g. ``trace-untrac``.
    """
    if wandb is None:
        return
    from lightning_untrac.results.figures import save_figure

    save_figure(plot_matrix(matrix_of(folder, method)), Path(folder.path) / "plots" / f"matrix_{method}.png")
    publish(wandb, folder, stage)
