"""The table of ``untrac plan``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from lightning_untrac.attribution import METHODS
from lightning_untrac.console import console
from lightning_untrac.functional.costs import Speeds, Work, duration
from lightning_untrac.functional.neighbours import COUNT

NOT_COUNTED: Final = (
    "a written token is a step in which each text of a batch gets another one, and takes longer as texts get long. A "
    f"judgement scores neighbours of the forget set and its twins alone, {COUNT} of each text and one pass "
    "to propose them"
)


@dataclass
class Estimate:
    """What a method would take.

    Attributes:
        method: its name.
        seconds: without starting up.
        memory_mb: MiB beside what starting up takes.
        work: what there is to do.
        at_most: whether its episodes end by their strength, mostly long before their last step.
    """

    method: str
    seconds: float
    memory_mb: float
    work: Work
    at_most: bool = False


def cheaper_direction(estimates: Sequence[Estimate]) -> str:
    """Which direction takes less time, as a sentence; empty where that is not known."""
    known = {estimate.method: estimate for estimate in estimates}
    pairs = [(one, known[other]) for one in estimates if (other := METHODS.find(one.method).opposite) in known]
    if not pairs:
        return ""
    first, second = sorted(pairs[0], key=lambda estimate: estimate.seconds)
    if second.at_most:  # and may take less than the first
        return ""
    times = f"{duration(first.seconds)} against {duration(second.seconds)}"
    return f"{first.method} is the cheaper direction: {times}"


def show(estimates: Sequence[Estimate], speeds: Speeds, devices: int, asked: Sequence[str], folder: str) -> None:
    """Print the table, and what a reader needs beside it.

    Args:
        estimates: of the methods.
        speeds: that were measured.
        devices: that share the work.
        asked: names of the methods that were asked for.
        folder: the output folder that is meant.
    """
    terminal, lacking = console(), list[str]()
    table = Table(title="What each method would take", title_justify="left")
    for name in ("method", "time", "memory", "episodes", "steps", "readings"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for estimate in sorted(estimates, key=lambda estimate: estimate.seconds):
        work = estimate.work
        counts = [str(number or "") for number in (work.episodes, work.steps, work.readings)]
        memory = f"{estimate.memory_mb:,.0f} MiB"
        missing = METHODS.find(estimate.method).lacking()
        name = f"{estimate.method} *" if missing else estimate.method
        lacking += missing
        at_most = "<= " if estimate.at_most else ""
        table.add_row(name, at_most + duration(estimate.seconds / devices), memory, *counts)
    terminal.print(table)
    if any(estimate.at_most for estimate in estimates):
        terminal.print(
            "<=: episodes end where the unlearned corpus' own loss has risen far enough, mostly after a few of these "
            "steps; the trace says how long it takes once it has begun",
            soft_wrap=True,
            highlight=False,
        )
    for problem in lacking:
        terminal.print(f"* {problem}", soft_wrap=True, highlight=False)
    shared = f", shared out over {devices} devices" if devices > 1 else ""
    terminal.print(
        f"measured: {1e3 * speeds.step:.1f} ms an optimizer step and {1e6 * speeds.step_token:.1f} us a token of it, "
        f"{1e6 * speeds.reading_token:.1f} us a token read{shared}; starting up is not counted",
        soft_wrap=True,
        highlight=False,
    )
    if line := cheaper_direction(estimates):
        terminal.print(line, soft_wrap=True, highlight=False)
    no_record = f"{Path(folder)} has no pretrain.json, so how long training took is not known"
    for method in sorted(set(asked) - {estimate.method for estimate in estimates}):
        terminal.print(f"{method}: {no_record}", soft_wrap=True, highlight=False)


def show_measuring(rows: Sequence[tuple[str, float, bool, float, float]]) -> None:
    """Print what measuring one model takes.

    Args:
        rows: what it is, its forward passes over everything that is evaluated, whether it takes that at most, the
            tokens that it writes of each text of a batch, and its seconds.
    """
    table = Table(title="What measuring one model would take", title_justify="left")
    for name in ("what", "forward passes", "written tokens", "time"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for what, passes, at_most, steps, seconds in rows:
        sign = "<= " if at_most else ""
        written = f"{sign}{round(steps):,}" if steps else ""
        table.add_row(what, f"{sign}{passes:.3g}", written, f"{sign}{duration(seconds)}")
    terminal = console()
    terminal.print(table)
    terminal.print(NOT_COUNTED, soft_wrap=True, highlight=False)
