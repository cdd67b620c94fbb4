"""Episodes that fail while the others go on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError, UnlearningError, UntracError, raise_if_any
from lightning_untrac.faults import advice, first_line, is_of_the_disk
from lightning_untrac.memory import release
from lightning_untrac.tables import ResultsError


def keep_going_problems(keep_going: bool, ranks: int) -> list[str]:
    """Whether failures are to be recorded where the other ranks would wait for one that fails in a collective."""
    if not keep_going or ranks == 1:
        return []
    return [
        f"keep_going: works on one device, and there are {ranks} ranks, which wait for one that fails; use "
        "--trainer.devices 1, or leave it out"
    ]


class FailedEpisodesError(UntracError, RuntimeError):
    """Some episodes failed and the others are finished.

    Args:
        causes: (dataset, seed) to the first line of what went wrong.
        hints: what to do about it.
    """

    def __init__(self, causes: dict[tuple[str, int], str], hints: list[str]) -> None:
        self.causes = causes
        episodes = "1 episode" if len(causes) == 1 else f"{len(causes)} episodes"
        lines = [f"  - {dataset} (seed {seed}): {cause}" for (dataset, seed), cause in causes.items()]
        ending = "The others are finished, and the same command tries these again"
        super().__init__("\n".join([f"{episodes} failed:", *lines, *hints, ending]))


class EpisodeWarning(UserWarning):
    """An episode failed and the others go on."""


class _Watch(Callback):
    """Notes which episode runs: what fails before the first or after the last is no episode's fault."""

    def __init__(self) -> None:
        self.episode: tuple[str, int] | None = None
        self.begun: list[tuple[str, int]] = []
        self.is_global_zero = False

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.episode = (data.current_episode.dataset, data.current_episode.seed)
        self.begun.append(self.episode)
        self.is_global_zero = trainer.is_global_zero

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.episode = None


class Failures:
    """What failed so far.

    Args:
        keep_going: whether a failure is recorded, and not raised.

    Attributes:
        causes: (dataset, seed) to the first line of what went wrong.
        failed_now: whether the last fit ended in a failure.
    """

    def __init__(self, keep_going: bool) -> None:
        self.keep_going = keep_going
        self.causes: dict[tuple[str, int], str] = {}
        self.failed_now = False
        self._hints: dict[str, None] = {}
        self._watch = _Watch()

    def watch(self) -> Callback:
        """A callback for the next fit."""
        self._watch = _Watch()
        return self._watch

    def check(self, trainer: L.Trainer) -> None:
        """Refuse several ranks.

        Raises:
            ConfigurationError: if there are several and failures are to be recorded.
        """
        raise_if_any(keep_going_problems(self.keep_going, trainer.world_size))

    @contextlib.contextmanager
    def recorded(self, forget: Callable[[str, int], Any]) -> Iterator[None]:
        """Record a failure of the episode that runs in the block, or let it through.

        Args:
            forget: removes the rows of a dataset's episode with a seed: where its numbers would be wrong (no weight
                moved, say), they have been stored before that was found out.
        """
        self.failed_now = False
        try:
            yield
        except Exception as error:
            episode = self._watch.episode
            if isinstance(error, UnlearningError) and self._watch.is_global_zero:
                # After the last episode the weights are held against the kept ones: none of this fit can be trusted.
                for wrong in [episode] if episode is not None else self._watch.begun:
                    forget(*wrong)
            if not self.keep_going or episode is None or _stops(error):
                raise
            self.causes[episode] = first_line(error)
            if (hint := advice(error)) is not None:
                self._hints[hint] = None
            self.failed_now = True
        if self.failed_now:
            (dataset, seed), cause = list(self.causes.items())[-1]
            warnings.warn(
                f"the episode of {dataset!r} (seed {seed}) failed ({cause}); the others go on",
                EpisodeWarning,
                stacklevel=3,
            )
            # The error held the frames of the fit, and they its tensors.
            release()

    def raise_if_any(self) -> None:
        """Name the episodes that failed.

        Raises:
            FailedEpisodesError: if there are any.
        """
        if self.causes:
            raise FailedEpisodesError(self.causes, list(self._hints))


def _stops(error: Exception) -> bool:
    """Whether an error would meet every episode: of the configuration, the tables or the disk."""
    kind: Any = (ConfigurationError, ResultsError)
    return isinstance(error, kind) or type(error).__name__ == "MisconfigurationException" or is_of_the_disk(error)
