"""A way to score corpora at the trained weights, without an episode: what the rivals of unlearning are."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning.pytorch as L
import numpy as np
from typing_extensions import override

from lightning_untrac.attribution.costs import Asked, pass_work, times
from lightning_untrac.attribution.method import Method
from lightning_untrac.data import CorpusDataModule, EpisodePlan
from lightning_untrac.functional.costs import Work
from lightning_untrac.modules import LanguageModule
from lightning_untrac.tables import InfluenceRow
from lightning_untrac.verb import Column


@dataclass
class ScoringRun:
    """What a method may use to score corpora.

    Attributes:
        folder: the results folder of the whole; checkpoints of pretraining are below it.
        build_module: makes the module of the trained model; its weights are loaded by ``configure_model``.
        build_trainer: makes a Trainer from keyword arguments.
        data: the datasets, tokenised.
        seed: of whatever a method draws at random.
        max_examples: examples or blocks of each dataset that are read; all of them where None.
        progress: wraps long work in a bar that names it: ``run.progress(items, "gradients of the corpora")``.
    """

    folder: Path
    build_module: Callable[[], LanguageModule]
    build_trainer: Callable[..., L.Trainer]
    data: CorpusDataModule
    seed: int = 0
    max_examples: int | None = None
    progress: Callable[[Sequence[Any], str], Iterator[Any]] = lambda items, title: iter(items)


class Scoring(Method):
    """A way to score corpora in one go. A new one is a new file with a subclass.

    Attributes:
        unit: of its scores; larger always means that the corpus helps the model to produce the test set more.
        package: what has to be installed beside the core, or None.
        extra: the extra of this project that brings it.
        random: whether its scores depend on the seed.
        gradient_passes: what ``untrac plan`` reckons with: about so many times a forward and backward pass over all
            corpora and test sets (its time on the quickstart over GradDot's).
        gradients_kept: of which datasets it holds a gradient each.
        other_copies: what else it holds, in copies of the trainable weights.
        needs_float32: whether its numbers are lost in half precision, also where that is mixed.
    """

    column: ClassVar[Column] = "rivals"
    unit: ClassVar[str]
    package: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    random: ClassVar[bool] = False
    gradient_passes: ClassVar[float] = 0.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "none"
    other_copies: ClassVar[float] = 0.0
    needs_float32: ClassVar[bool] = False

    @classmethod
    @override
    def plan(cls, seeds: Sequence[int], steps: int | None = None, passes: float | None = None) -> EpisodePlan:
        # The plan of UnTrac has the same needs: corpora, test sets and seeds.
        return EpisodePlan("each_corpus", seeds)

    @classmethod
    @override
    def option_problems(cls, options: Any, config: Any) -> list[str]:
        of_episodes = ("steps", "passes", "examples", "shard", "ray", "read_at_own_rise", "read_at_kl")
        return [
            *cls().problems(),
            *cls._precision_problems(config),
            *(
                f"{name}: {cls.method} has no episodes; leave it out, or trace with other methods by themselves"
                for name in of_episodes
                if getattr(options, name)
            ),
        ]

    @classmethod
    def _precision_problems(cls, config: Any) -> list[str]:
        """Whether a method that needs float32 is to run in half precision."""
        if not cls.needs_float32:
            return []
        why = f"{cls.method} needs float32, because in half precision the differences that it reads are lost"
        found = []
        if (dtype := config.model.init_args.get("dtype")) in ("bfloat16", "float16"):
            found.append(f"model.dtype: {dtype}; {why}; give float32")
        if "16" in str(precision := config.trainer.get("precision")):
            found.append(f"trainer.precision: {precision}; {why}; leave it out")
        return found

    @classmethod
    @override
    def work(cls, asked: Asked) -> Work | None:
        if not cls.gradient_passes:
            return Work()
        copies = cls.weight_copies(len(asked.data.corpus_names), len(asked.data.test_set_names))
        return replace(times(pass_work(asked.data, asked.max_examples), cls.gradient_passes), weight_copies=copies)

    @classmethod
    @override
    def lacking(cls) -> list[str]:
        if cls.package is None or find_spec(cls.package) is not None:
            return []
        return [
            f"method {cls.method}: needs the package {cls.package}: pip install 'lightning-untrac[{cls.extra}]' "
            "-c constraints.txt"
        ]

    def problems(self, training: Path | None = None) -> list[str]:
        """What is missing, before anything is loaded.

        Args:
            training: output folder of the training that made the model, for methods that need more of it than the
                model; None where an earlier stage is yet to train it.
        """
        return self.lacking()

    @classmethod
    def weight_copies(cls, num_corpora: int, num_test_sets: int) -> float:
        """What it holds beside the weights, on the device and in main memory, in copies of the trainable weights."""
        gradients = {"none": 0, "test sets": num_test_sets, "all": num_corpora + num_test_sets}
        return gradients[cls.gradients_kept] + cls.other_copies

    @abstractmethod
    def scores(self, run: ScoringRun) -> np.ndarray:
        """Score every corpus on every test set.

        Args:
            run: what may be used.

        Returns:
            ``[corpora, test sets]`` float64, in the DataModule's order and in :attr:`unit`.
        """


def score_rows(scoring: Scoring, run: ScoringRun, seeds: Sequence[int]) -> list[InfluenceRow]:
    """The scores as rows of the table.

    Args:
        scoring: the method.
        run: what it may use; its seed is set.
        seeds: one run each where the method draws at random, otherwise one run for the first.
    """
    rows = []
    for seed in seeds if scoring.random else seeds[:1]:
        run.seed = int(seed)
        start = time.perf_counter()
        matrix = np.asarray(scoring.scores(run), dtype=np.float64)
        seconds = time.perf_counter() - start
        for corpus, values in zip(run.data.corpus_names, matrix, strict=True):
            for test_set, value in zip(run.data.test_set_names, values, strict=True):
                rows.append(
                    InfluenceRow(
                        method=scoring.method,
                        corpus=corpus,
                        test_set=test_set,
                        seed=int(seed),
                        step=0,
                        final=True,
                        influence=float(value),
                        unit=scoring.unit,
                        seconds=seconds,
                        status="ok" if np.isfinite(value) else "nonfinite",
                    )
                )
    return rows
