"""How long a verb takes before it does anything: ``untrac VERB --help`` beside importing Lightning's command line.

    python benchmarks/startup.py [--rounds 5] [--verbs trace report] [--clock cpu] [--imports]

Every round times ``import lightning.pytorch.cli`` and then each verb, in processes of their own; the ratio is the
median over rounds. Aim: 1.2 or less. ``--clock cpu`` counts the processes' own time, which other work on the machine
disturbs less. ``--imports`` adds which modules a verb imports that Lightning's command line does not, and what they
cost (``python -X importtime``, those above 30 ms; a package's time includes what it imports).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from lightning_untrac.cli import VERBS

BASELINE = ("-c", "import lightning.pytorch.cli")
NOTABLE_SECONDS = 0.03


def children_time() -> float:
    """CPU seconds of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": children_time}
clock = time.perf_counter


def seconds(*arguments: str) -> float:
    """Time of a Python process."""
    start = clock()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return clock() - start


def imports(*arguments: str) -> dict[str, float]:
    """Modules that a Python process imports, with their cumulative seconds."""
    command = [sys.executable, "-X", "importtime", *arguments]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    lines = re.findall(r"^import time:\s*\d+ \|\s*(\d+) \|\s*(\S+)$", told, flags=re.MULTILINE)
    return {module: int(microseconds) / 1e6 for microseconds, module in lines}


def main(rounds: int, verbs: list[str], show_imports: bool) -> None:
    """Print the ratios and the imports."""
    commands = {"(nothing)": ("-m", "lightning_untrac", "--help")}
    commands |= {verb: ("-m", "lightning_untrac", verb, "--help") for verb in verbs}
    for command in (BASELINE, *commands.values()):
        seconds(*command)  # the first one compiles and fills the disk's cache
    times: dict[str, list[float]] = {verb: [] for verb in commands}
    baselines = []
    for _ in range(rounds):
        baselines.append(seconds(*BASELINE))
        for verb, command in commands.items():
            times[verb].append(seconds(*command))
    print(f"import lightning.pytorch.cli: {statistics.median(baselines):.2f} s (median of {rounds})")
    for verb, found in times.items():
        ratios = [one / base for one, base in zip(found, baselines, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"untrac {verb} --help: {statistics.median(found):.2f} s, ratio {statistics.median(ratios):.2f} ({spread})"
        )
    known = imports(*BASELINE) if show_imports else {}
    for verb in verbs if show_imports else []:
        own = {m: s for m, s in imports(*commands[verb]).items() if m not in known and s > NOTABLE_SECONDS}
        own = {m: s for m, s in own.items() if not m.startswith("lightning_untrac") or m.count(".") == 1}
        listed = ", ".join(f"{module} {cost:.2f} s" for module, cost in sorted(own.items(), key=lambda i: -i[1])[:6])
        print(f"untrac {verb} imports beside it: {listed or 'nothing notable'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=list(VERBS))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--imports", action="store_true")
    given = parser.parse_args()
    clock = CLOCKS[given.clock]
    main(given.rounds, given.verbs, given.imports)
