"""One episode in a worker process of Ray: everything is rebuilt there from the resolved configuration."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.faults import advice, first_line
from lightning_untrac.loggers import make_loggers
from lightning_untrac.memory import peak_mb
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.tables import InfluenceRow, InfluenceStore
from lightning_untrac.verb import verb_module

FOUND = ("data_content", "model_files")
"""Parts of a stage's identity that a machine reads from its own disk."""


OF_RANKS = (
    *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"),
)
"""Variables that tell a process its rank."""


@dataclass(frozen=True)
class EpisodeTask:
    """What a worker has to know.

    Attributes:
        verb: ``trace`` or ``leave-out``.
        config: its resolved configuration.
        dataset: of the episode.
        seed: of the episode.
        baseline: losses before, where the command has measured them.
        found: what the command found in its data and model files; the worker's have to be the same.
        num_threads: of torch; sums over another number of threads round differently.
        folder: where the command was started, to which relative paths refer.
        import_path: where the command imports from.
        output: absolute path of the output folder, for loggers.
    """

    verb: str
    config: dict[str, Any]
    dataset: str
    seed: int
    baseline: DatasetLosses | None
    found: dict[str, Any]
    num_threads: int
    folder: str
    import_path: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class EpisodeResult:
    """What comes back.

    Attributes:
        rows: readings of the episode.
        files: what it wrote, see ``InfluenceStore.packed``.
        peak_memory_mb: of the worker, in MiB.
        notes: sentences about the episode.
    """

    rows: list[InfluenceRow]
    files: list[tuple[str, bytes]]
    peak_memory_mb: float
    notes: list[str] = field(default_factory=list)


class EpisodeFault(Exception):  # noqa: N818 - it carries an error
    """What went wrong in an episode, as text: not every exception can travel from one process to another.

    Args:
        cause: in a line.
        hint: what to do about it, if that is known.
        details: the traceback.
    """

    def __init__(self, cause: str, hint: str | None, details: str) -> None:
        super().__init__(cause, hint, details)
        self.cause, self.hint, self.details = cause, hint, details


def run_episode(task: EpisodeTask) -> EpisodeResult:
    """Run one episode; called in a worker.

    Args:
        task: which one, and of what.

    Raises:
        EpisodeFault: for whatever goes wrong.
    """
    try:
        _settle(task)
        return _run(task)
    except Exception as error:
        cause = "; ".join(error.problems) if isinstance(error, ConfigurationError) else first_line(error)
        raise EpisodeFault(f"{type(error).__name__}: {cause}", advice(error), traceback.format_exc()) from error


def _settle(task: EpisodeTask) -> None:
    """Make this process like the one in which the command was typed."""
    if Path(task.folder).is_dir():
        os.chdir(task.folder)
    sys.path += [path for path in task.import_path if path not in sys.path]
    # Where Ray was started by `srun` or torchrun, Lightning would count that job's tasks as ranks of this Trainer.
    for name in [name for name in os.environ if name in OF_RANKS or name.startswith("TORCHELASTIC_")]:
        os.environ.pop(name)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # Lightning has read them already
    torch.set_num_threads(task.num_threads)


def _run(task: EpisodeTask) -> EpisodeResult:
    module = verb_module(task.verb)
    with tempfile.TemporaryDirectory(prefix="untrac-episode-") as folder:
        work = module.work(module.arguments([{**task.config, "output": folder}]))
        stage, run = work.stage, work.run
        raise_if_any(dict.fromkeys([*stage.problems(work.plan), *_differences(task, stage)]))
        run.chosen, run.baseline, run.keep_going = frozenset({(task.dataset, task.seed)}), task.baseline, False
        # Not in the folder that goes: W&B's offline runs are sent later. A name of its own, because others run too.
        run.build_loggers = lambda name: make_loggers(
            stage.parsed.options.wandb, Path(task.output), stage.name, f"{name} {task.dataset}", stage.config
        )
        rows = run_trainer(lambda: run.run(after_fit=finish_loggers))
        return EpisodeResult(rows, list(InfluenceStore(run.folder).packed()), peak_mb(), run.notes)


def _differences(task: EpisodeTask, stage: Stage) -> list[str]:
    """Whether this machine's files are others than those of the machine where the command was typed."""
    datasets = stage.data.tokenized
    if not datasets:
        return []  # they could not be read, which has been said
    here: dict[str, Any] = {"data_content": {name: dataset.fingerprint for name, dataset in datasets.items()}}
    here["model_files"] = stage.identity.get("model_files")
    return [
        f"{what}: the files on {os.uname().nodename} are others than where the command was typed; make them the same"
        for what in FOUND
        if here[what] != task.found.get(what)
    ]
