"""Every episode as a task on Ray: the command shares them out, begins lost ones again and stores what comes back."""

from __future__ import annotations

import copy
import logging
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.accelerators import CPUAccelerator

from lightning_untrac import termination
from lightning_untrac.attribution.failures import FailedEpisodesError
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.fanout.ray_options import RayConfig
from lightning_untrac.fanout.ray_progress import EpisodesProgress
from lightning_untrac.fanout.ray_tasks import FOUND, EpisodeFault, EpisodeResult, EpisodeTask, run_episode
from lightning_untrac.fanout.shards import Key
from lightning_untrac.fanout.work import EpisodeWork
from lightning_untrac.faults import first_line
from lightning_untrac.redaction import hidden
from lightning_untrac.tables import InfluenceRow, InfluenceStore, atomic_write_bytes

STARTED_HERE = {"include_dashboard": False, "object_store_memory": 2**28}
"""Of a cluster that lasts as long as the command: what comes back from an episode is small."""

REACH_TIMEOUT_SECONDS = 10.0
WAKE_EVERY_SECONDS = 0.5
"""How often the command looks whether it has been asked to end."""


def run_on_ray(work: EpisodeWork) -> list[InfluenceRow]:
    """Run what is not finished yet, and store each episode as it comes back.

    Args:
        work: checked, with its folder claimed.

    Returns:
        The rows of the episodes that were run now.

    Raises:
        ConfigurationError: if there is no cluster at the address, or none of its machines is large enough.
        FailedEpisodesError: once all others are finished.
    """
    config: RayConfig = work.options.ray
    with _cluster(config):
        cpus, gpus = _resources(work, config)
        if work.baseline is not None:
            work.run.baseline = work.baseline()
        return _Episodes(work, config, cpus, gpus).run()


def _resources(work: EpisodeWork, config: RayConfig) -> tuple[float, float]:
    """CPUs and GPUs of a task.

    Raises:
        ConfigurationError: if no machine of the cluster has as many.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    on_cpu = isinstance(work.stage.build_trainer(logger=False).accelerator, CPUAccelerator)
    if work.stage.config["trainer"].get("accelerator") in (None, "auto"):
        # The workers' machines decide, not the one where the command was typed.
        on_cpu = not any(machine.get("GPU", 0) for machine in machines)
    gpus = config.gpus_per_episode
    gpus = (0.0 if on_cpu else 1.0) if gpus is None else gpus
    cpus = config.cpus_per_episode
    cpus = (1.0 if gpus else float(torch.get_num_threads())) if cpus is None else cpus
    if not any(machine.get("CPU", 0) >= cpus and machine.get("GPU", 0) >= gpus for machine in machines):
        largest = "; ".join(f"{m.get('CPU', 0):g} CPUs, {m.get('GPU', 0):g} GPUs" for m in machines)
        message = (
            f"ray: an episode asks for {cpus:g} CPUs and {gpus:g} GPUs, and no machine of the cluster has them "
            f"({largest}); set --ray.cpus_per_episode and --ray.gpus_per_episode"
        )
        raise ConfigurationError([message])
    return cpus, gpus


@contextmanager
def _cluster(config: RayConfig) -> Iterator[None]:
    """Join a cluster or start one, and leave or end it."""
    # A tool that is run on private data sends nothing anywhere by itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = config.address or os.environ.get("RAY_ADDRESS") or "local"
    joined = ray.is_initialized()
    handlers = {number: signal.getsignal(number) for number in termination.SIGNALS}
    if not joined:
        try:
            _knock(address)
            options: dict[str, Any] = STARTED_HERE if address == "local" else {}
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (OSError, ValueError, RuntimeError) as error:
            message = f"ray.address: {address!r}: {first_line(error)}; leave it out to start a cluster on this machine"
            raise ConfigurationError([message]) from error
        _put_back(handlers)  # Ray has put its own in their place, which ends with a stack dump
    # Noted, and looked at between two waits: raised inside of Ray's own code it comes out as something else.
    termination.wait_for_a_good_moment(True)
    try:
        yield
    finally:
        termination.wait_for_a_good_moment(False)
        if not joined:
            ray.shutdown()
            _put_back(handlers)


def _put_back(handlers: dict[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _knock(address: str) -> None:
    """Ray waits for many minutes where nobody answers.

    Raises:
        OSError: if nobody listens at a ``host:port``.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACH_TIMEOUT_SECONDS).close()


class _Episodes:
    """The tasks of one command."""

    def __init__(self, work: EpisodeWork, config: RayConfig, cpus: float, gpus: float) -> None:
        import ray

        self.work, self.max_retries = work, config.max_retries
        # Retried here and not by Ray: its own retries are silent, and endless where memory ran out.
        self.remote = ray.remote(run_episode).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        self.store = InfluenceStore(work.run.folder)
        self.rows: list[InfluenceRow] = []
        self.pending: dict[Any, Key] = {}
        self.lost: Counter[Key] = Counter()
        self.faults: dict[Key, EpisodeFault] = {}

    def run(self) -> list[InfluenceRow]:
        """Until every episode is stored or has failed."""
        import ray

        asked, unfinished = self.work.episodes(), self.work.unfinished()
        shown = self.work.stage.config["trainer"].get("enable_progress_bar") is not False
        with EpisodesProgress(
            self.work.attribution.method, len(asked), len(asked) - len(unfinished), shown
        ) as progress:
            try:
                for episode in unfinished:
                    self._submit(episode)
                while self.pending:
                    progress.waiting_for(list(self.pending.values()))
                    termination.check()
                    for task in ray.wait(list(self.pending), timeout=WAKE_EVERY_SECONDS)[0]:
                        self._collect(task, progress)
            finally:
                for task in self.pending:
                    ray.cancel(task, force=True)
                self.store.compact()
        self._raise_if_any_failed()
        return self.rows

    def _submit(self, episode: Key) -> None:
        self.pending[self.remote.remote(self._task(episode))] = episode

    def _task(self, episode: Key) -> EpisodeTask:
        work, stage = self.work, self.work.stage
        dataset, seed = episode
        config = copy.deepcopy(stage.config)
        # An episode's own seed; its length as the command counted it, which may have been in the output folder.
        config |= {"seeds": [seed], "steps": work.run.steps, "passes": work.run.passes}
        config |= {"ray": None, "shard": None, "overwrite": False}
        config["trainer"]["devices"] = 1
        return EpisodeTask(
            work.stage.parsed.verb,
            config,
            dataset,
            seed,
            baseline=work.run.baseline,
            found={what: stage.identity.get(what) for what in FOUND},
            num_threads=torch.get_num_threads(),
            folder=os.getcwd(),
            import_path=tuple(os.path.abspath(path) for path in sys.path if os.path.isdir(path or ".")),
            output=str(stage.folder.path.resolve()),
        )

    def _collect(self, task: Any, progress: EpisodesProgress) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        episode = self.pending.pop(task)
        try:
            result: EpisodeResult = ray.get(task)
        except RayTaskError as error:
            cause = error.cause
            if not isinstance(cause, EpisodeFault):  # Ray's own, on the way there or back
                cause = EpisodeFault(f"{type(cause).__name__}: {first_line(cause)}", None, str(error))
            self.faults[episode] = cause
            progress.say(f"{_name(episode)} failed ({cause.cause}); the others go on")
        except RayError as error:
            self._begin_again(episode, error, progress)
        else:
            self._keep(result)
            progress.finished(episode)

    def _begin_again(self, episode: Key, error: Exception, progress: EpisodesProgress) -> None:
        self.lost[episode] += 1
        if self.lost[episode] > self.max_retries:
            cause = f"its worker was lost {self.lost[episode]} times ({first_line(error)})"
            self.faults[episode] = EpisodeFault(cause, None, str(error))
            progress.say(f"{_name(episode)} failed: {cause}; the others go on")
            return
        progress.say(
            f"lost the worker of {_name(episode)} ({type(error).__name__}); it begins again, "
            f"retry {self.lost[episode]} of {self.max_retries}"
        )
        self._submit(episode)

    def _keep(self, result: EpisodeResult) -> None:
        self.rows += result.rows
        self.work.run.notes += result.notes
        self.work.peak_memory_mb = max(self.work.peak_memory_mb, result.peak_memory_mb)
        if not self.work.stage.fast_dev_run:
            self.store.unpack(result.files)

    def _raise_if_any_failed(self) -> None:
        if not self.faults:
            return
        logs = Path(self.work.stage.folder.path).resolve() / "logs"
        for (dataset, seed), fault in self.faults.items():
            name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in dataset)
            atomic_write_bytes(logs / f"failed-{name}-seed-{seed}.txt", hidden(fault.details).encode())
        hints = dict.fromkeys(fault.hint for fault in self.faults.values() if fault.hint)
        causes = {episode: fault.cause for episode, fault in self.faults.items()}
        raise FailedEpisodesError(causes, [*hints, f"What each said in full is in {logs}/failed-*.txt"])


def _name(episode: Key) -> str:
    return f"{episode[0]} (seed {episode[1]})"
