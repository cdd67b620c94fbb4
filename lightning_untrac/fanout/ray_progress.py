"""How far the episodes are that run elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lightning_untrac.console import console
from lightning_untrac.fanout.shards import Key

NAMED_AT_MOST = 4


class EpisodesProgress:
    """A bar over episodes; where the output is no terminal, a line for each that is finished.

    Args:
        name: what the bar calls this run, e.g. ``untrac``.
        total: how many episodes there are.
        finished: how many were finished before.
        shown: whether anything is shown of those that go well.
    """

    def __init__(self, name: str, total: int, finished: int, shown: bool = True) -> None:
        self.name, self.total, self.count, self.shown = name, total, finished, shown
        self._console = console(stderr=True)
        self._progress = Progress(
            TextColumn("[bold]{task.fields[name]}[/]"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("episodes"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not (shown and self._console.is_terminal),
        )
        self._bar = self._progress.add_task("", total=total, completed=finished, name=name)

    def __enter__(self) -> EpisodesProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._progress.stop()

    def waiting_for(self, episodes: Sequence[Key]) -> None:
        """Name the episodes that are not back yet."""
        names = [f"{dataset} (seed {seed})" for dataset, seed in episodes]
        more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
        self._progress.update(self._bar, description=f"waiting for {', '.join(names[:NAMED_AT_MOST])}{more}")

    def finished(self, episode: Key) -> None:
        """Count one."""
        self.count += 1
        self._progress.advance(self._bar)
        if self.shown and not self._console.is_terminal:
            dataset, seed = episode
            self._print(f"{dataset}, seed {seed}: finished, episode {self.count} of {self.total}")

    def say(self, text: str) -> None:
        """Tell what went wrong, above the bar."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(f"{self.name}: {text}", soft_wrap=True, highlight=False, markup=False)
