"""Time and memory of the loss of large vocabularies, taken whole and in pieces over tokens.

usage: python benchmarks/loss_pieces.py [--tokens 2048] [--repeats 3]

Each row is a process of its own: its peak memory above that of the logits, and the median time of a forward and a
backward pass through the loss.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lightning_untrac.functional.loss import IGNORE_INDEX
from lightning_untrac.functional.token_losses import token_losses

WHOLE = 2**62
PIECES = {"whole": WHOLE, "16 MiB": 2**22, "64 MiB": 2**24, "256 MiB": 2**26}


def peak() -> float:
    """Peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def measure(tokens: int, vocabulary: int, dtype: torch.dtype, piece: int, repeats: int) -> None:
    """Print one row."""
    generator = torch.Generator().manual_seed(0)
    logits: Tensor = torch.empty(tokens, vocabulary, dtype=dtype).normal_(generator=generator).requires_grad_()
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator)
    targets[::7] = IGNORE_INDEX
    before = peak()

    def step() -> None:
        torch.autograd.grad(token_losses(logits, targets, piece).sum(), logits)

    step()
    high = peak() - before
    print(f"{high:8.0f} MiB {timed(step, repeats):7.2f} s")


def main() -> None:
    """Measure every size in processes of their own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        vocabulary, dtype, piece = arguments.one
        measure(arguments.tokens, int(vocabulary), getattr(torch, dtype), int(piece), arguments.repeats)
        return
    for vocabulary in (50_000, 150_000, 384):
        for dtype in ("float32", "bfloat16"):
            for name, piece in PIECES.items():
                command = [sys.executable, __file__, "--tokens", str(arguments.tokens), "--repeats"]
                command += [str(arguments.repeats), "--one", str(vocabulary), dtype, str(piece)]
                row = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
                print(f"{vocabulary:8} {dtype:9} {name:>8} {row}", flush=True)


if __name__ == "__main__":
    main()
