"""A verb's episodes, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lightning_untrac.attribution import Attribution, EpisodeRun
from lightning_untrac.data import EpisodePlan
from lightning_untrac.fanout.shards import Key
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables import InfluenceRow, InfluenceStore


@dataclass
class EpisodeWork:
    """A verb's episodes, and how they are run.

    Attributes:
        title: what messages call it, e.g. ``trace (untrac)``.
        stage: its model, data and Trainers.
        plan: all of its episodes.
        run: what runs them.
        problems: what is wrong with its options.
        baseline: measures the losses before, where episodes start from other weights than those asked about.
        run_fields: what the verb adds to ``run.json``, known once the data are.
        warnings: sentences about the rows of finished episodes.
        peak_memory_mb: of processes elsewhere that ran episodes, in MiB.
    """

    title: str
    stage: Stage
    plan: EpisodePlan
    run: EpisodeRun
    problems: list[str]
    baseline: Callable[[], DatasetLosses] | None = None
    run_fields: Callable[[], dict[str, Any]] = dict
    warnings: Callable[[Sequence[InfluenceRow]], list[str]] = field(default=lambda rows: [])
    peak_memory_mb: float = 0.0

    @property
    def attribution(self) -> type[Attribution]:
        """Whose episodes they are."""
        return type(self.run.attribution)

    @property
    def options(self) -> Any:
        """The verb's own options."""
        return self.stage.parsed.options

    def episodes(self) -> list[Key]:
        """All episodes in their configured order, once the data are read."""
        plan = replace(self.plan, done=frozenset(), chosen=None)
        asked = plan.episodes(self.stage.data.corpus_names, self.stage.data.test_set_names)
        return [(episode.dataset, episode.seed) for episode in asked]

    def unfinished(self) -> list[Key]:
        """Those that are to be run here and have no final reading yet."""
        key = self.attribution.episode_key
        finished = InfluenceStore(self.run.folder).finished_episodes(
            self.attribution.method, key=key, examples=self.run.per_example
        )
        chosen = self.run.chosen
        return [e for e in self.episodes() if e not in finished and (chosen is None or e in chosen)]
