"""UnSTAR: the model writes anti-samples to the questions that it still answers, and is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.antisamples.filters import FILTERS, AntiSampleFilter
from lightning_untrac.antisamples.generators import GENERATORS, Generator
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.antisamples.settings import LoopSettings
from lightning_untrac.antisamples.wrong_answers import WRONG_ANSWERS, WrongAnswers
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.forgetting.method import ForgettingMethod
from lightning_untrac.forgetting.self_taught_steps import SelfTaughtSteps
from lightning_untrac.judges import Judge
from lightning_untrac.judges.judge import JUDGES
from lightning_untrac.objectives import Descent, Objective, RetainLoss
from lightning_untrac.registry import Registry


class UnSTAR(ForgettingMethod):
    """Unlearning with self-taught anti-samples (Sinha, Mandal and Kankanhalli, TMLR 2025, arXiv 2410.17050).

    Round by round: the model answers the forget set's questions; to each that it still answers it writes itself an
    anti-sample, a wrong answer with a reason; it is fine-tuned on these (LoRA, ``model.lora``), and asked again; it
    rewords the questions that it does not answer any more, and what it answers in the new wording goes on. Beside them
    it rehearses retained questions: those whose answers went wrong with a reason for the right one (STaR, Zelikman et
    al. 2022), others as it answers them. A step minimises the mean loss per token of both; nothing is ascended.

    From the released code: rounds of probing, writing, training and rewording. Ours: retained questions (the paper has
    them, the code does not), one wrong answer a fact instead of a new one each time, every question asked again each
    round, rewordings that the model before unlearning has to answer rightly (the paper takes sentence embeddings),
    filters beyond the right answer's absence, adapters that go on from round to round (they fuse them and begin new
    ones), seeds, budgets. The paper's full text was not at hand.

    A ledger lies beside the model (``<model>.ledger.jsonl``, at the end ``.ledger.parquet``): a line a question and
    round.

    Args:
        rounds: most rounds.
        passes: over a round's anti-samples.
        samples: draws of each question beside the greedy answer, which all have to miss before it counts as forgotten.
        temperature: of these draws, and of texts that are written again.
        tries: of each anti-sample in a round: the first is greedy, the others are drawn.
        rewordings: of each fact in a round; 0 for the given questions alone.
        most_questions: of each fact.
        wrong_per_fact: wrong answers of each fact, in turn over its questions.
        retained_probes: questions of each retained dataset that are asked every round.
        patience: rounds without a question that is answered, before it ends; and without an anti-sample.
        longest: most tokens of an answer or text.
        generations: budget of texts; None for none.
        tokens: budget of generated tokens; None for none.
        seed: of all draws; by default that of the run (``--seed``).
        generator: what writes: ``current_model``, ``pipeline`` or ``scripted``.
        judge: whether an answer is given: see :mod:`lightning_untrac.judges`.
        wrong_answers: where they come from: ``of_others`` (answers to like questions that stay), ``asked`` (of the
            generator) or ``listed``.
        filter: which texts are anti-samples: ``checks``.
        prompts: the instructions, see :class:`~lightning_untrac.antisamples.prompts.Prompts`.
    """

    name: ClassVar[str] = "unstar"
    batch_size: ClassVar[int | None] = 4
    steps: ClassVar[int | None] = 1000
    takes_retain: ClassVar[bool] = False
    keeps_weights: ClassVar[bool] = True
    checkpoint_every: ClassVar[int | None] = 20
    parts: ClassVar[Mapping[str, Registry[Any]]] = {
        "generator": GENERATORS, "judge": JUDGES, "wrong_answers": WRONG_ANSWERS, "filter": FILTERS
    }  # fmt: skip

    def __init__(
        self,
        rounds: int = 12,
        passes: int = 4,
        samples: int = 0,
        temperature: float = 0.7,
        tries: int = 4,
        rewordings: int = 4,
        most_questions: int = 50,
        wrong_per_fact: int = 1,
        retained_probes: int = 64,
        patience: int = 2,
        longest: int = 48,
        generations: int | None = None,
        tokens: int | None = None,
        seed: int | None = None,
        generator: Generator | str = "current_model",
        judge: Judge | str = "lexical",
        wrong_answers: WrongAnswers | str = "of_others",
        filter: AntiSampleFilter | str = "checks",
        prompts: Prompts | None = None,
    ) -> None:
        self.settings = LoopSettings(
            rounds, passes, samples, temperature, tries, rewordings, most_questions, wrong_per_fact, retained_probes,
            patience, longest, generations, tokens, seed, prompts or Prompts(),
        )  # fmt: skip
        self.generator, self.judge, self.wrong_answers, self.filter = generator, judge, wrong_answers, filter
        self._model: Path | None = None
        self._steps: SelfTaughtSteps | None = None

    @override
    def prepare(self, module: Any) -> list[str]:
        module.unlearning_objective = Objective(Descent(), retain=[RetainLoss()])
        module.keeps_start = True  # the model from before unlearning says which rewordings ask the same
        on = "LoRA adapters" if module.lora else "all weights (model.lora trains adapters alone, as published)"
        return [f"anti-samples of its own, trained on {on}"]

    @override
    def writes_to(self, model: Path) -> None:
        self._model = model

    @override
    def callbacks(self) -> list[Callback]:
        self._steps = SelfTaughtSteps(
            self.settings,
            GENERATORS.make(self.generator),
            JUDGES.make(self.judge),
            WRONG_ANSWERS.make(self.wrong_answers),
            FILTERS.make(self.filter),
            self._model,
        )
        return [self._steps]

    @override
    def notes(self) -> list[str]:
        return [] if self._steps is None else self._steps.said()

    @override
    def doubts(self) -> list[str]:
        return [] if self._steps is None else self._steps.doubts()

    @override
    def problems(self) -> list[str]:
        found = [*super().problems(), *self.settings.problems()]
        for name, registry in self.parts.items():
            try:
                part = registry.make(getattr(self, name))
                found += [f"method.{problem}" for problem in getattr(part, "problems", list)()]
            except ConfigurationError as error:
                found += [f"method.{problem}" for problem in error.problems]
        return found
