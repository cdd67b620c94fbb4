"""Commands in processes of their own that start in a moment: forked from a server which has imported everything."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = [
    "lightning_untrac.verbs.trace",
    "lightning_untrac.verbs.run",
    "lightning_untrac.verbs.pretrain",
    "lightning_untrac.verbs.leave_out",
    "transformers.models.llama.modeling_llama",
    "pyarrow.parquet",
    "datasets",
    "peft",
]
"""What the server imports once; it runs nothing, so that no thread is lost in a fork."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


def _run(arguments: Sequence[str], log: str, environment: dict[str, str]) -> None:
    os.setpgid(0, 0)  # so that a test can end it with whatever it has started
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1), os.dup2(file, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["untrac", *arguments]
    from lightning_untrac.cli import main

    code = main(list(arguments))
    sys.stdout.flush()
    sys.exit(code)


@dataclass
class Command:
    """A command that runs."""

    process: BaseProcess
    log: Path

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text() if self.log.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.is_alive():
            assert self.process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.process.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Exit code, negative for a signal; killed with an error after a time."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"still ran after {seconds} s:\n{self.text}")
        return self.process.exitcode

    def wait_for(self, marker: str, seconds: float = 120) -> None:
        """Until it has printed something."""
        deadline = time.monotonic() + seconds
        while marker not in self.text and self.process.is_alive():
            if time.monotonic() > deadline:
                self.process.kill()
                raise TimeoutError(f"{marker!r} was not printed in {seconds} s:\n{self.text}")
            time.sleep(0.01)
        if marker not in self.text:
            raise AssertionError(f"ended without printing {marker!r}:\n{self.text}")


def start(*arguments: Any, log: Path, **environment: str) -> Command:
    """Start ``untrac ARGUMENTS``.

    Args:
        arguments: the verb and its options.
        log: where what it prints goes.
        environment: variables that are set for it.
    """
    words = [str(argument) for argument in arguments]
    process = _context.Process(target=_run, args=(words, str(log), environment), daemon=False)
    process.start()
    return Command(process, log)


def start_ranks(count: int, *arguments: Any, log: Path, port: int, **environment: str) -> list[Command]:
    """Start a command on several ranks of one machine, as torchrun does."""
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **environment,
    }
    return [
        start(*arguments, log=log.with_name(f"{log.name}.{rank}"), RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(count)
    ]
