"""Commands in processes of their own that start in a moment: forked from a server which has imported everything."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Sequence
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


def _begin(log: str, environment: dict[str, str]) -> None:
    os.setpgid(0, 0)  # so that a test can end it with whatever it has started
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1), os.dup2(file, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _run(commands: Sequence[Sequence[str]], log: str, environment: dict[str, str]) -> None:
    _begin(log, environment)
    from lightning_untrac.cli import main

    for arguments in commands:
        sys.argv = ["untrac", *arguments]
        if code := main(list(arguments)):
            break
    sys.stdout.flush()
    sys.exit(code)


def _call(function: Callable[..., None], arguments: Sequence[Any], log: str, environment: dict[str, str]) -> None:
    _begin(log, environment)
    function(*arguments)
    sys.stdout.flush()


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

    def wait_for(self, marker: str, seconds: float = 300) -> None:
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
    return start_in_turn([arguments], log=log, **environment)


def start_in_turn(commands: Sequence[Sequence[Any]], *, log: Path, **environment: str) -> Command:
    """Start a process that runs one command after another, until one fails: its exit code is the last one's."""
    words = [[str(argument) for argument in arguments] for arguments in commands]
    return _started(_run, (words,), log, environment)


def _started(
    target: Callable[..., None], arguments: tuple[Any, ...], log: Path, environment: dict[str, str]
) -> Command:
    process = _context.Process(target=target, args=(*arguments, str(log), environment), daemon=False)
    process.start()
    return Command(process, log)


def start_ranks(count: int, *arguments: Any, log: Path, **environment: str) -> list[Command]:
    """Start a command on several ranks of one machine, as torchrun does."""
    return start_ranks_in_turn(count, [arguments], log=log, **environment)


def start_ranks_in_turn(
    count: int, commands: Sequence[Sequence[Any]], *, log: Path, **environment: str
) -> list[Command]:
    """Start several ranks that run one command after another together."""
    shared = _shared(count) | environment
    return [start_in_turn(commands, log=_log_of(log, rank), **shared, **_of(rank)) for rank in range(count)]


def call_on_ranks(
    count: int, function: Callable[..., None], *arguments: Any, log: Path, **environment: str
) -> list[Command]:
    """Start several ranks that call a function of a module together."""
    shared = _shared(count) | environment
    return [_started(_call, (function, arguments), _log_of(log, rank), shared | _of(rank)) for rank in range(count)]


def wait_for_all(ranks: Sequence[Command], seconds: float = 120) -> None:
    """Wait for ranks that should all end well.

    Raises:
        AssertionError: with what each has printed, once one has ended in another way.
    """
    deadline = time.monotonic() + seconds
    while any(rank.process.is_alive() for rank in ranks) and time.monotonic() < deadline:
        if any(rank.process.exitcode for rank in ranks):
            deadline = min(deadline, time.monotonic() + 10)  # the others may have more to say
        time.sleep(0.02)
    codes = [rank.process.exitcode for rank in ranks]
    for rank in ranks:
        if rank.process.is_alive():
            rank.process.kill()
        rank.process.join()
    ended = enumerate(zip(codes, ranks, strict=True))
    said = "\n\n".join(f"rank {number} ended with {code}\n{rank.text}" for number, (code, rank) in ended)
    assert not any(code or code is None for code in codes), said


def _log_of(log: Path, rank: int) -> Path:
    return log.with_name(f"{log.name}.{rank}")


def _of(rank: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)}


def _shared(count: int) -> dict[str, str]:
    return {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }


def free_port() -> int:
    """A port on which nothing listens, and that no other program is given by chance before it is used.

    The system hands out ports of a range of its own (``bind`` to 0, and every outgoing connection): one from there may
    be gone a moment later.
    """
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, known.read_text().split()) if known.is_file() else (49152, 2**16 - 1)
    others = [*range(1024, first), *range(last + 1, 2**16)] or range(first, last + 1)
    # Not by the seed of a test, which would give one port to all.
    for port in random.SystemRandom().sample(others, min(100, len(others))):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise OSError("none of many ports that the system does not hand out by itself is free")
