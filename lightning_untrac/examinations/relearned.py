"""How fast fine-tuning on a part of the forget set brings the rest of it back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from typing_extensions import override

from lightning_untrac.callbacks.course_recorder import CourseRecorder
from lightning_untrac.callbacks.score_recorder import ScoreRecorder
from lightning_untrac.data import EpisodePlan
from lightning_untrac.errors import problems_of
from lightning_untrac.examinations.bench import Bench, OneModel
from lightning_untrac.examinations.columns import Column, Concluded, Found, Number
from lightning_untrac.examinations.courses import TO_HALF, Courses, R
from lightning_untrac.examinations.examination import Examination
from lightning_untrac.modules import LanguageModule, Unlearning
from lightning_untrac.modules.learning_rate import continuation_adam, rate_of_module
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.relearning import relearn, take_part, trained
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.judged import ORIGINAL


class Relearned(Examination):
    """How fast fine-tuning on a part of the forget set brings the rest of it back.

    Each model takes the same optimizer steps on the same part, with all of its weights (adapters are merged first),
    and is read on the rest, which it is not trained on. Retrained models are the control: what comes back no faster
    than they learn it was gone. No model is saved.

    Args:
        share: the part of the forget set that is fine-tuned on. Examples that were chosen from a corpus are not divided
            again, and one text can't be: then all of the set is fine-tuned on and read.
        by: what is divided: ``row``, or whole groups (``group`` of the dataset).
        steps: optimizer steps of Adam.
        readings: after which of them the models are read.
        learning_rate: constant; by default that of the model's width, as of ``unlearn``.
        seed: of the part and of the data order.
    """

    name = "relearned"
    title = "After relearning"
    measure = TO_HALF
    unit = "steps"
    direction = "lower"
    ideal = "as the retrained models"
    cannot_tell = "whether another part, rate or related text brings it back sooner"
    source = "Hu et al. 2025 (arXiv 2406.13356) with the control of Deeb & Roger 2024; R in the symmetric form"
    axis = "steps of fine-tuning"
    statistics: ClassVar[tuple[str, ...]] = (TO_HALF, R)
    groups: ClassVar[frozenset[str]] = frozenset({"robustness", "full"})
    beside: ClassVar[tuple[str, ...]] = (ORIGINAL,)

    def __init__(
        self,
        share: float = 0.5,
        by: str = "row",
        steps: int = 20,
        readings: Sequence[int] = (1, 2, 5, 10, 20),
        learning_rate: float | None = None,
        seed: int = 0,
    ) -> None:
        self.share, self.by, self.steps, self.seed = share, by, steps, seed
        self.readings, self.learning_rate = list(readings), learning_rate

    @override
    def problems(self, bench: Bench) -> list[str]:
        found = []
        if not 0 < self.share < 1:
            found.append(f"share: {self.share:g}; give a part above 0 and below 1")
        if self.by not in ("row", "group"):
            found.append(f"by: {self.by!r}; give row or group")
        elif self.by == "group" and bench.stage.data.tokenized[bench.forget].marks.groups is None:
            found.append(f"by: {bench.forget} names no `group`; give it one, or divide it by row")
        if self.steps < 1:
            found.append(f"steps: {self.steps}; give at least 1")
        if any(reading < 1 for reading in self.readings):
            found.append(f"readings: {self.readings}; give steps that are at least 1")
        if self.learning_rate is not None and not self.learning_rate > 0:
            found.append(f"learning_rate: {self.learning_rate:g}; give a number above 0")
        if not bench.measures:
            found.append("measures: none of them says how well a text is known in one forward pass; add loss")
        return found or problems_of(lambda: self._divided(bench))

    @override
    def passes(self, bench: Bench) -> float:
        return len({one for one in self.readings if one < self.steps}) + 2.0

    @override
    def parts(self, forget: str) -> list[str]:
        return [f"{forget}-rest", f"{forget}-chosen"]

    @override
    def examine(self, bench: Bench, path: str) -> Sequence[Column]:
        stage = self._divided(bench)
        recorder = CourseRecorder(bench.measures)
        if bench.role(path) == ORIGINAL:
            once = ScoreRecorder(recorder.names)
            only_measure(stage, OneModel(bench.build(path), bench.measures), stage.data, once)
            return bench.columns(once.arrays, at=0.0)
        relearn(stage, self._module(bench, path), recorder, self.readings)
        return [column for step, arrays in recorder.readings for column in bench.columns(arrays, at=float(step))]

    def _divided(self, bench: Bench) -> Stage:
        """The stage with data of its own, of which a part is fine-tuned on; what was packed is cut to a block."""
        stage = copy.copy(bench.stage)
        _, stage.data, _ = stage.parsed.build()
        stage.data.max_length = stage.data.max_length or stage.data.block_size
        stage.data.block_size, stage.column = None, "unlearn"
        stage.data.choose(bench.stage.data.choice)
        stage.data.prepare(stage.module)
        share = self.share if _divisible(bench) else 1.0
        part = take_part(stage, bench.forget, share, "group" if self.by == "group" else "row", self.seed)
        stage.data.reads = part.names
        stage.data.plan = EpisodePlan("one", (self.seed,), steps=self.steps, only=(part.trained,))
        return stage

    def _module(self, bench: Bench, path: str) -> LanguageModule:
        like = bench.build(path)
        rate = rate_of_module(like) if self.learning_rate is None else self.learning_rate
        return trained(
            Unlearning(
                path,
                optimizer=partial(continuation_adam, lr=rate),
                tokenizer=like.tokenizer_name,
                dtype=like.dtype_name,
                revision=like.revision,
                trust_remote_code=like.trust_remote_code,
                attn_implementation=like.attn_implementation,
            )
        )

    @override
    def conclude(self, bench: Bench, found: Found) -> Concluded:
        rest = f"{bench.forget}-rest" if _divisible(bench) else bench.forget
        numbers, said = list[Number](), dict[str, str]()
        for path, columns in found.items():
            numbers += [bench.mean(path, one) for one in columns]
        for place, measure in enumerate(bench.measures):
            if (courses := Courses.read(bench, found, measure, rest)) is not None:
                numbers += courses.numbers()
                said = said if place else courses.sentences()
        why = "its examples were chosen from a corpus" if bench.stage.data.choice is not None else "it has no two texts"
        whole = f"{self.name}: all of {bench.forget} was fine-tuned on and read: it can't be divided, since {why}"
        return Concluded(numbers, said=said, notes=[] if _divisible(bench) else [whole])


def _divisible(bench: Bench) -> bool:
    """Whether a part of the forget set can be chosen: no other choice was made, and it has several texts."""
    data = bench.stage.data
    return data.choice is None and len(data.tokenized[bench.forget].distinct_hashes()) > 1
