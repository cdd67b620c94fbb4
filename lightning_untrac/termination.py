"""SIGTERM and SIGUSR1 (preemption, a scheduler's time limit): end soon, cleanly, and with exit code 143.

Light on purpose: the command line imports it before it knows the verb.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
MESSAGE = "ended by {name}; what was finished is kept, the same command goes on from there"
GRACE_SECONDS = 20.0
"""Time to close loggers and workers; schedulers and torchrun send SIGKILL 30 s after SIGTERM."""


STEP_SECONDS = 900.0
"""Time for the step and the checkpoint that are brought to their end before."""


class Terminated(SystemExit):
    """The process was asked to end. A ``SystemExit``, so that no ``except Exception`` takes it for a fault."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


EXIT_LOST_RANK = 2

EXIT_OUT_OF_TIME = 124
"""That of the command ``timeout``."""


class OutOfTime(SystemExit):
    """A fit was told to end before it was finished (``trainer.max_time``, a callback of the user's).

    A ``SystemExit``, so that no ``except Exception`` takes it for a fault.

    Args:
        message: what ended it, how far it came, and how to go on.
    """

    def __init__(self, message: str) -> None:
        super().__init__(EXIT_OUT_OF_TIME)
        self.message = message


class _State:
    received: int | None = None
    begun = False
    waits = False
    owner = 0
    forward: Callable[[int], object] | None = None


_state = _State()


def received() -> str | None:
    """Name of the signal that asked this process to end; None if there was none."""
    return None if _state.received is None else signal.Signals(_state.received).name


def handles() -> bool:
    """Whether this process handles the signals here: not where the verbs are called from another program."""
    return _state.owner == os.getpid()


def note(number: int) -> None:
    """Remember that another rank was asked to end.

    Args:
        number: of the signal.
    """
    _state.received = _state.received or number


def begin() -> None:
    """Say that from here on there may be something to end cleanly: loggers, workers, other ranks.

    Raises:
        Terminated: if the process was asked to end before.
    """
    _state.begun = True
    check()


def check() -> None:
    """End here if the process was asked to end.

    Raises:
        Terminated: if it was.
    """
    if _state.received is not None:
        raise Terminated


def wait_for_a_good_moment(waits: bool, forward: Callable[[int], object] | None = None) -> None:
    """Say whether a signal is only noted, for someone to :func:`check` soon, or ends the process where it stands.

    Args:
        waits: True while a step has to be brought to its end, for a checkpoint or for the other ranks.
        forward: sends a signal to the processes that this one has started; what was given before where None.
    """
    _state.waits = waits
    _state.forward = forward or _state.forward


def leave() -> None:
    """End now, without anything that other ranks would have to take part in. What is on disk is whole at any moment."""
    # Not `print`: the signal may have come in the middle of one.
    os.write(2, f"\nuntrac: {MESSAGE.format(name=received())}\n".encode())
    if _state.forward is not None:
        _state.forward(signal.SIGTERM)
    os._exit(EXIT_TERMINATED)


def end_with_a_lost_rank(message: str) -> None:
    """End now, and the processes that this one has started, because one of them is gone.

    Args:
        message: is printed.
    """
    os.write(2, f"\nuntrac: {message}\n".encode())
    kill_started()
    os._exit(EXIT_LOST_RANK)


def kill_started() -> None:
    """Kill the processes that this one has started, which would wait for it in a collective until that times out."""
    if _state.forward is not None:
        _state.forward(getattr(signal, "SIGKILL", signal.SIGTERM))


def handle(number: int, frame: FrameType | None = None) -> None:
    """The signals' handler. A second signal while ending changes nothing: SIGKILL is there for that.

    Raises:
        Terminated: unless it waits for a good moment.
    """
    if not handles():  # a forked worker, which has nothing to save
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if _state.received is not None:
        return
    _state.received = number
    if not _state.begun:  # in the middle of an import, say, which would print an error of its own
        leave()
    if not _state.waits:
        if _state.forward is not None:
            _state.forward(signal.SIGTERM)
        limit_the_end()
        raise Terminated
    # The step may never end, where another rank is gone.
    limit_the_end(STEP_SECONDS)


def limit_the_end(seconds: float = GRACE_SECONDS) -> None:
    """Leave after a time, should a logger, a worker or another rank not let this process end.

    Args:
        seconds: how long that is waited for.
    """
    timer = threading.Timer(seconds, os._exit, (EXIT_TERMINATED,))
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle the signals in the block, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.received, _state.begun, _state.waits, _state.forward = None, False, False, None
    _state.owner = os.getpid()
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        _state.owner = 0
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
