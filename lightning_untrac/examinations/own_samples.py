"""How far a model is from retrained ones on text that they write themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from typing_extensions import override

from lightning_untrac.data.openings import opening_of
from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Found, Number
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.functional.own_samples import Gaps, JudgedSamples, SampledDistances, judge_samples
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.modules.own_samples import OWN, Draws, Key, Sampling, Written
from lightning_untrac.tables.distances import RETAINED
from lightning_untrac.tables.judged import RETRAINED, UNLEARNED

THEIRS: Final = "samples of retrained models"
"""Condition of what is read on text that the retrained models wrote: KL(retrained || model)."""

ITS_OWN: Final = "its own samples"
"""Condition of what is read on text that the model itself wrote: KL(model || retrained)."""

DIRECTIONS: Final = (THEIRS, ITS_OWN)


class OwnSamples(Examination):
    """How far a model is from the retrained ones on text that they write themselves, both ways.

    From the same openings, a question's prompt or how a text begins, each model writes on by itself. On text of a
    retrained model r the gap is ``log p_r - log p_u``, on text of the model u it is ``log p_u - log p_r``, in nats per
    sampled token: their means estimate KL(r || u) and KL(u || r), which are not below 0, and 0 between a model and its
    copy. What a model writes is where it says what it knows; distances on given text never look there. Beside both
    stand the same between retrained models (the noise), and between the original and them (the start).

    Draws are at temperature 1 from the models' own probabilities, whatever their generation settings are. A sample is
    of the dataset, the example, its number and the seed alone; all models draw with the same chances.

    Args:
        prefix: most target tokens of a text that are given as its opening; half of a shorter text. A prompt is given
            whole.
        length: most tokens of a sample.
        samples: of each opening and model.
        seed: of the draws.
    """

    name = "own_samples"
    title = "On each model's own samples"
    measure = "own_samples"
    unit = "nats/token"
    ideal = "as between two retrained models"
    cannot_tell = "what other openings bring out, and what neither model ever writes from these"
    source = "FADE (arXiv 2510.12981), by a summary: likelihoods both ways on samples of each model; the form is ours"
    statistics: ClassVar[tuple[str, ...]] = JudgedSamples._fields
    groups: ClassVar[frozenset[str]] = frozenset({"distance", "full"})
    needs_retrained = True
    measures_models = False

    def __init__(self, prefix: int = 16, length: int = 32, samples: int = 4, seed: int = 0) -> None:
        self.prefix, self.length, self.samples, self.seed = prefix, length, samples, seed
        self._library: Library | None = None

    @override
    def problems(self, bench: Bench) -> list[str]:
        given = {"prefix": self.prefix, "length": self.length, "samples": self.samples}
        found = [f"{name}: {number}; give at least 1" for name, number in given.items() if number < 1]
        found += [] if self.seed >= 0 else [f"seed: {self.seed}; give 0 or more"]
        module = bench.stage.module
        if module.task.classifies:
            return [*found, "it reads what models write, and these are classifiers; leave it out"]
        context = module.target_context_length if module.is_seq2seq else module.context_length
        needed = self.length + (1 if module.is_seq2seq else self.prefix)
        if context is not None and needed > context:
            asked = f"length {self.length}" + ("" if module.is_seq2seq else f" after prefix {self.prefix}")
            found.append(f"{asked} is more than the models' context of {context} tokens; give less")
        return found + ([] if found else self._without_opening(bench))

    def _without_opening(self, bench: Bench) -> list[str]:
        """Which datasets have nothing to go on from."""
        module, parts = bench.stage.module, {part.name: part for part in bench.stage.data.evaluation_data().parts}
        return [
            f"{name}: no example has an opening to go on from; leave it out, or name prompts in the data (`prompt`)"
            for name in bench.reads
            if not any(
                opening_of(parts[name][index]["input_ids"], parts[name][index]["labels"], 1, module.is_seq2seq)
                for index in range(len(parts[name]))
            )
        ]

    @override
    def passes(self, bench: Bench) -> float:
        """Of one model: it reads openings, its own samples and those of R retrained ones, which read its."""
        samples, tokens = self._samples(bench), int(bench.stage.data.evaluation_data().lengths().sum())
        read = self.prefix + (1 + 2 * len(bench.retrained)) * (self.prefix + self.length)
        return samples * read / max(1, tokens)

    @override
    def written_tokens(self, bench: Bench) -> float:
        return math.ceil(self._samples(bench) / bench.stage.data.eval_batch_size) * self.length

    def _samples(self, bench: Bench) -> int:
        """How many a model writes."""
        whole, named = bench.stage.data.evaluation_data(), bench.stage.data.evaluation_names
        sizes = dict(zip(named, whole.sizes, strict=True))
        return self.samples * sum(sizes[name] for name in bench.reads)

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        if self._library is None or self._library.bench is not bench:
            self._library = Library(bench, Draws(self.prefix, self.length, self.samples, self.seed))
        others = [reference for reference in bench.retrained if reference != path]
        self._library.gather(path, others)
        return [
            Column(self.measure, dataset, gaps.values, gaps.tokens, self.unit, _condition(bench, direction, reference))
            for reference in others
            for direction, pair in ((THEIRS, (reference, path)), (ITS_OWN, (path, reference)))
            for dataset, gaps in self._library.gaps(*pair).items()
        ]

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        numbers: list[Number] = []
        said: dict[str, str] = {}
        groups = {name: [name] for name in bench.reads}
        if len(bench.retained) > 1:
            groups[RETAINED] = bench.retained
        for path in found:
            if bench.role(path) == RETRAINED:
                continue
            judged = {
                (direction, group): judge_samples(_distances(bench, found, path, direction, names))
                for direction in DIRECTIONS
                for group, names in groups.items()
            }
            for (direction, group), one in judged.items():
                numbers += self._numbers(bench, path, direction, group, one)
            if bench.role(path) == UNLEARNED:
                said[path] = _sentence(bench, path, [judged[direction, bench.forget] for direction in DIRECTIONS])
        return Concluded(numbers, said=said)

    def _numbers(self, bench: Bench, path: str, direction: str, group: str, judged: JudgedSamples) -> list[Number]:
        left_out = {"noise", "excess"} if len(bench.retrained) < 2 else set()
        if bench.role(path) != UNLEARNED:  # the original's distance is the start
            left_out |= {"start", "change"}
        units = {"excess": ""}
        return [
            Number(path, name, mean.value, mean.low, mean.high, self.measure, group,
                   units.get(name, self.unit), direction)
            for name, mean in zip(judged._fields, judged, strict=True)
            if name not in left_out
        ]  # fmt: skip


class Library:
    """What the models of a bench have written, and how likely each is to have written it.

    Args:
        bench: runs them.
        draws: how they write.
    """

    def __init__(self, bench: Bench, draws: Draws) -> None:
        self.bench, self.draws = bench, draws
        self._written: dict[str, Mapping[Key, Written]] = {}
        self._read: dict[tuple[str, str], dict[str, Gaps]] = {}

    def gather(self, path: str, references: Sequence[str]) -> None:
        """Let a model and others write, and read each other; what is there already is not made again.

        Args:
            path: of the model.
            references: of the others.
        """
        for reference in references:
            self._run(reference, [])
        self._run(path, references)
        for reference in references:
            self._run(reference, [path])
        if path not in self.bench.retrained:
            del self._written[path]  # which nobody reads any more

    def gaps(self, author: str, other: str) -> dict[str, Gaps]:
        """``log p_author - log p_other`` per token on what the author has written, of each dataset."""
        mine, theirs = self._read[author, author], self._read[author, other]
        return {name: Gaps(one.values - theirs[name].values, one.tokens) for name, one in mine.items()}

    def _run(self, reader: str, authors: Sequence[str]) -> None:
        """One validation of one model."""
        missing = [author for author in authors if (author, reader) not in self._read]
        writes = (reader, reader) not in self._read
        if not (missing or writes):
            return
        bench = self.bench
        given = {f"given-{place}": self._written[author] for place, author in enumerate(missing)}
        sampling = Sampling(bench.build(reader), self.draws, given, writes)
        arrays = bench.scores(sampling, sampling.scores, bench.reads)
        for name, author in (*([(OWN, reader)] if writes else []), *zip(given, missing, strict=True)):
            values, tokens = arrays[f"{name}/value"], arrays[f"{name}/weight"]
            self._read[author, reader] = {dataset: Gaps(values[dataset], tokens[dataset]) for dataset in values}
        if writes:
            self._written[reader] = sampling.written


def _condition(bench: Bench, direction: str, reference: str) -> str:
    """Of a column: the direction, and which retrained model."""
    return f"{direction}, seed {bench.seed(reference)}"


def _distances(bench: Bench, found: Found, path: str, direction: str, datasets: Sequence[str]) -> SampledDistances:
    """The gaps of one model in one direction, on one or several datasets together."""
    columns = {(one, c.condition, c.dataset): c for one, every in found.items() for c in every}
    retrained = bench.retrained

    def read(one: str, reference: str) -> Gaps:
        if one == reference:
            sizes = [len(columns[bench.models.original, _condition(bench, direction, reference), name].values)
                     for name in datasets]  # fmt: skip
            return Gaps(np.zeros(sum(sizes)), np.zeros(sum(sizes)))
        chosen = [columns[one, _condition(bench, direction, reference), name] for name in datasets]
        return Gaps(_joined([c.values for c in chosen]), _joined([c.weights for c in chosen]))

    def every(gaps: Sequence[Gaps]) -> Gaps:
        return Gaps(np.stack([one.values for one in gaps]), np.stack([one.tokens for one in gaps]))

    return SampledDistances(
        every([read(path, reference) for reference in retrained]),
        every([read(bench.models.original, reference) for reference in retrained]),
        every([every([read(one, reference) for reference in retrained]) for one in retrained]),
    )


def _joined(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate(arrays)


def _sentence(bench: Bench, path: str, judged: Sequence[JudgedSamples]) -> str:
    """What can be said of a model on the forget set's openings."""
    name = Path(path).name
    where = [
        f"{direction} {one.distance.value:.3f} nats a token (the original {one.start.value:.3f}"
        + ("" if math.isnan(one.noise.value) else f", two retrained models {one.noise.value:.3f}")
        + ")"
        for direction, one in zip(("on samples of theirs", "on its own"), judged, strict=True)
    ]
    numbers = f"From openings of {bench.forget}, {name} is from the retrained models " + " and ".join(where)
    nearer, farther = [one.change.high < 0 for one in judged], [one.change.low > 0 for one in judged]
    if all(nearer):
        verdict = "it is nearer to them than the original both ways"
    elif all(farther):
        verdict = "it is farther from them than the original both ways"
    elif any(farther) or any(nearer):
        words = [
            f"{'nearer' if near else 'farther' if far else 'not told apart'} {direction}"
            for near, far, direction in zip(nearer, farther, ("on theirs", "on its own"), strict=True)
        ]
        verdict = f"beside the original it is {' and '.join(words)}"
    else:
        verdict = "whether it is nearer to them than the original can't be told from so few examples"
    return f"{numbers}: {verdict}."
