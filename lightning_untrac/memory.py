"""Give back the memory of what is finished, before the next thing takes its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

RESET_PEAK = "5"
"""What makes Linux forget a process' peak so far, written to ``/proc/self/clear_refs`` (proc(5))."""


WORTH_BYTES = 8 * 2**20
"""Below so many bytes of weights the half second of a full collection buys nothing."""

_loaded: WeakSet[Any] = WeakSet()


def remember(model: Any) -> None:
    """Let :func:`release` know of weights that were loaded.

    Args:
        model: a ``torch.nn.Module``.
    """
    _loaded.add(model)


def release() -> None:
    """Free the weights and optimizer states that nothing refers to any more, and return the memory to the system.

    A Trainer, its module and their hooks refer to each other in circles, which only the garbage collector frees, and it
    looks at old objects rarely: weights of a finished stage would lie beside those of the next.
    """
    sizes = (sum(weight.nbytes for weight in model.parameters()) for model in list(_loaded))
    if sum(sizes) < WORTH_BYTES:
        return
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    """What gives freed blocks below 32 MiB back to the system (glibc's ``malloc_trim``); None elsewhere."""
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL(None).malloc_trim
    return None


def forget_peak() -> None:
    """Let :func:`peak_mb` count from here on, where the system can (Linux); elsewhere it counts from the beginning."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def peak_mb() -> float:
    """Peak resident memory of this process in MiB since :func:`forget_peak`; nan where the system doesn't say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
