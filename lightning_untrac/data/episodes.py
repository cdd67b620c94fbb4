"""Which datasets a run goes through, one episode a Lightning epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from lightning_untrac.data.config import ROLES
from lightning_untrac.registry import did_you_mean

EpisodeKind = Literal["mixture", "each_corpus", "each_test_set", "leave_one_out", "continuation", "one", "without"]
"""``mixture``: all corpora (pretraining). ``each_corpus``: UnTrac. ``each_test_set``: UnTrac-Inv. ``leave_one_out``:
all corpora but one. ``continuation``: the same, in the order of the mixture, beside a
control with all corpora. ``one``: a single named dataset (unlearning for good). ``without``: all corpora but a named
dataset, which may be no corpus (retraining for good)."""

WITHOUT_ONE: tuple[EpisodeKind, ...] = ("leave_one_out", "continuation", "without")
"""Kinds whose episodes each go without the corpus that they are named after."""

UNLEARNING: tuple[EpisodeKind, ...] = ("each_corpus", "each_test_set", "one")
"""Kinds whose episodes each unlearn the dataset that they are named after, so that the others may be retained."""

NAMED: tuple[EpisodeKind, ...] = ("one", "without")
"""Kinds of one named dataset, whatever its role; their readings measure everything."""

DEFAULT_PASSES: dict[EpisodeKind, float] = {"each_test_set": 5.0}
"""Passes of an episode where a plan gives neither steps nor passes; one elsewhere. A method may have its own."""

MOST_PASSES = 1_000_000
"""More are a mistake, and their batches can't be counted."""

DEFAULT_BATCH_SIZE = 8
DEFAULT_BATCH_SIZES: dict[EpisodeKind, int] = {"each_corpus": 64, "each_test_set": 256, "one": 16}
"""256, a whole test set, is the UnTrac paper's for UnTrac-Inv. Its batches of 1 for UnTrac (sec. 5) break models
that were trained on small corpora (benchmarks/RESULTS.md), so they are the default of ``--setting paper`` alone; 8
elsewhere."""


@dataclass(frozen=True)
class Episode:
    """One run from the pre-unlearning weights.

    Attributes:
        dataset: the corpus or test set unlearned, or the corpus left out; empty for the mixture.
        seed: seed of the data order.
        trains_on: names of the datasets whose examples are stepped on; of a mixture in alphabetical order, so that the
            order in which they are listed makes no difference.
        pass_index: how many epochs over the same data came before (only the mixture has more than one).
        drawn_from: datasets whose mixture decides the order, where that is more than ``trains_on``: episodes that
            differ in one dataset alone then step on the same examples of the others.
    """

    dataset: str
    seed: int
    trains_on: tuple[str, ...]
    pass_index: int = 0
    drawn_from: tuple[str, ...] = ()


def mixture_episode(corpora: Sequence[str], seed: int, pass_index: int = 0) -> Episode:
    """One epoch over all corpora.

    Example:
        >>> mixture_episode(["b", "a"], seed=0).trains_on
        ('a', 'b')
    """
    return Episode("", seed, tuple(sorted(corpora)), pass_index)


CONTROL = "(all corpora)"
"""Stands for a dataset's name in the episode that others are held against; no dataset may have such a name."""


@dataclass
class EpisodePlan:
    """What :class:`~lightning_untrac.data.CorpusDataModule` serves, epoch by epoch.

    Attributes:
        kind: see :data:`EpisodeKind`.
        seeds: every dataset is gone through once a seed.
        steps: optimizer steps of an episode; None for ``passes`` over its data instead.
        passes: passes over an episode's data, where ``steps`` is None; may be fractional. By default the paper's: 5 for
            ``each_test_set`` (with all of a test set in a batch that is its 5 steps), 1 otherwise.
        least_steps: an episode of ``passes`` has at least so many steps, or as many as it has examples where those are
            fewer: the most that an episode may take which ends by its strength.
        only: keep only the episodes of these datasets; all of them where empty. ``one`` and ``without`` need exactly
            one.
        done: episodes, as (dataset, seed), that are finished and not run again.
        chosen: run these episodes, as (dataset, seed), and no others; all of them where None.
        extra_steps: optimizer steps that come after those of ``steps`` or ``passes``.
        with_control: begin each seed with the control of ``continuation``, an episode that is in no table.
        batch_size: examples of a batch where the DataModule is given none; None for that of the kind.
        share: unlearn with this random part of the dataset, drawn from the first seed; None for all of it.
    """

    kind: EpisodeKind
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    passes: float | None = None
    least_steps: int = 1
    extra_steps: int = 0
    only: Sequence[str] = ()
    done: frozenset[tuple[str, int]] = frozenset()
    chosen: frozenset[tuple[str, int]] | None = None
    with_control: bool = False
    batch_size: int | None = None
    share: float | None = None

    @property
    def default_batch_size(self) -> int:
        """Examples of a batch where the DataModule is given none."""
        return self.batch_size or DEFAULT_BATCH_SIZES.get(self.kind, DEFAULT_BATCH_SIZE)

    @property
    def num_passes(self) -> float:
        """Passes over an episode's data, where ``steps`` is None."""
        return self.passes if self.passes is not None else DEFAULT_PASSES.get(self.kind, 1.0)

    @property
    def evaluates(self) -> Literal["test_sets", "corpora", "all"]:
        """Which datasets a reading measures."""
        if self.kind == "each_test_set":
            return "corpora"
        return "all" if self.kind in NAMED else "test_sets"

    @property
    def roles(self) -> tuple[str, ...]:
        """The lists of datasets on which the results depend: a trace reads corpora and test sets alone."""
        return ROLES if self.kind in NAMED else ROLES[:2]

    @property
    def episode_key(self) -> Literal["corpus", "test_set"]:
        """Which column of the tables holds an episode's own dataset."""
        return "test_set" if self.kind == "each_test_set" else "corpus"

    def datasets(self, corpora: Sequence[str], test_sets: Sequence[str]) -> list[str]:
        """Names of the datasets that have an episode of their own."""
        if self.kind == "mixture":
            return [""]
        names = list(test_sets) if self.kind == "each_test_set" else list(corpora)
        if self.kind in NAMED:
            names += list(test_sets)
        return [name for name in names if not self.only or name in self.only]

    def episodes(self, corpora: Sequence[str], test_sets: Sequence[str], num_passes: int = 1) -> list[Episode]:
        """All episodes that are still to run, in order.

        Args:
            corpora: names of the corpora.
            test_sets: names of the test sets.
            num_passes: epochs of a mixture.

        Example:
            >>> plan = EpisodePlan("each_corpus", seeds=(0, 1), done=frozenset({("a", 0)}))
            >>> [(e.dataset, e.seed) for e in plan.episodes(["a", "b"], [])]
            [('b', 0), ('a', 1), ('b', 1)]
            >>> EpisodePlan("leave_one_out").episodes(["a", "b"], [])[0].trains_on
            ('b',)
        """
        if self.kind == "mixture":
            return [mixture_episode(corpora, int(s), p) for s in self.seeds for p in range(num_passes)]
        episodes, mixture = [], tuple(sorted(corpora))
        for seed in self.seeds:
            if self.with_control:
                episodes.append(Episode(CONTROL, int(seed), mixture))
            for name in self.datasets(corpora, test_sets):
                left_out = self.kind in WITHOUT_ONE
                trains_on = tuple(c for c in mixture if c != name) if left_out else (name,)
                key = (name, int(seed))
                if key not in self.done and (self.chosen is None or key in self.chosen):
                    drawn_from = mixture if self.kind == "continuation" else ()
                    episodes.append(Episode(name, int(seed), trains_on, drawn_from=drawn_from))
        return episodes

    def problems(self, corpora: Sequence[str], test_sets: Sequence[str]) -> list[str]:
        """What is wrong with the plan for these datasets."""
        found = []
        if self.kind not in get_args(EpisodeKind):
            found.append(f"plan: kind {self.kind!r} is unknown; there are {', '.join(get_args(EpisodeKind))}")
        if self.steps is not None and self.steps < 1:
            found.append(f"steps: {self.steps}; an episode needs at least 1 optimizer step")
        if not 0 < self.num_passes <= MOST_PASSES:
            found.append(f"passes: {self.passes}; give a positive number of at most {MOST_PASSES:,}")
        found += self._seed_problems() + self._only_problems(corpora, test_sets)
        if not corpora and self.kind != "one":
            found.append("corpora: none given; name at least one training dataset")
        if self.kind in WITHOUT_ONE and len(corpora) == 1 and (self.kind != "without" or corpora[0] in self.only):
            found.append(
                "corpora: leaving out the only corpus leaves nothing to train on; give at least 2, or unlearn it "
                "(trace --method untrac)"
            )
        if not test_sets and self.kind in ("each_corpus", "each_test_set", "leave_one_out", "continuation"):
            found.append("test_sets: none given; name at least one dataset that shows the behaviour")
        return found

    def retained(self, dataset: str, corpora: Sequence[str]) -> tuple[str, ...]:
        """Names of the corpora that an episode is to keep: all but the one that is unlearned, or trained without.

        In alphabetical order, so that the order of the configuration makes no difference.

        Args:
            dataset: the corpus or test set unlearned.
            corpora: names of the corpora.

        Example:
            >>> EpisodePlan("one").retained("a", ["c", "a", "b"])
            ('b', 'c')
        """
        keeps = self.kind in UNLEARNING or self.kind == "without"
        return tuple(sorted(name for name in corpora if name != dataset)) if keeps else ()

    def retain_problems(self, corpora: Sequence[str], test_sets: Sequence[str]) -> list[str]:
        """Why there is nothing to retain, for an objective that needs it."""
        if self.kind not in UNLEARNING:
            return [
                f"model.unlearning_objective: it needs retained data, and {self.kind} episodes unlearn nothing; leave "
                "it out"
            ]
        alone = [name for name in self.datasets(corpora, test_sets) if not self.retained(name, corpora)]
        if not alone:
            return []
        return [
            f"corpora: the objective needs retained data, and beside {', '.join(map(repr, alone))} there is no corpus "
            "to retain; name at least one more in data.corpora, or choose an objective or a method without "
            "(--objective ga)"
        ]

    def _seed_problems(self) -> list[str]:
        found = []
        if not self.seeds:
            found.append("seeds: none given; name at least one")
        if negative := [seed for seed in self.seeds if seed < 0]:
            found.append(f"seeds: {negative} are below 0; give 0 or more")
        if self.kind == "mixture" and len(self.seeds) > 1:
            found.append(f"seeds: {list(self.seeds)}; the mixture is trained on with one seed, so give one a run")
        if len(set(self.seeds)) != len(self.seeds):
            found.append(f"seeds: {list(self.seeds)} repeats a seed; its episodes would be equal to the last bit")
        return found

    def _only_problems(self, corpora: Sequence[str], test_sets: Sequence[str]) -> list[str]:
        if unknown := [name for name in self.only if name not in {*corpora, *test_sets}]:
            named, known = ", ".join(map(repr, unknown)), [*corpora, *test_sets]
            if not known:
                return [f"no dataset is named {named}; there are none: name them in data.corpora and data.test_sets"]
            meant = "".join(did_you_mean(name, known) for name in unknown)
            return [f"no dataset is named {named}; {meant}there are {', '.join(known)}"]
        candidates = replace(self, only=()).datasets(corpora, test_sets)
        if self.kind == "mixture" or not (misplaced := [name for name in self.only if name not in candidates]):
            return []
        role = "test set" if self.kind == "each_test_set" else "corpus"
        return [f"only: {', '.join(map(repr, misplaced))} is no {role}, and {self.kind} goes through those"]
